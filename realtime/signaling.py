"""The HTTP interface: WHIP-shaped signalling (RFC 9725) for a call in both directions, and the list of avatars.

    GET    /v1/avatars                    200 [{"id", "name", "description", "thumbnail", "picture", "default"}]
    GET    /v1/avatars/{id}/thumbnail     200 image (192x192)
    GET    /v1/avatars/{id}/picture       200 image (512x512): what the avatar looks like before the call
    POST   /v1/sessions?avatar=&client=   201 SDP answer, start a session
    PATCH  /v1/sessions/{secret}          204 trickle ICE
    DELETE /v1/sessions/{secret}          200 end the session
    OPTIONS on both                       204 with Allow and Accept-Post: application/sdp
    GET    /healthz                       200 {"status": "ok", "sessions", "capacity", "version"}, 503 while draining
    GET    /metrics                       200 Prometheus text
    GET    /docs, /openapi.json           the same as OpenAPI

**Starting.** The browser offers `audio` (sendrecv: the microphone goes up, the voice comes back delayed to match the
lips), `video` (recvonly) and a data channel labelled `control` (`realtime.controls`), all in one BUNDLE:

    const pc = new RTCPeerConnection();
    const control = pc.createDataChannel("control");
    pc.addTrack(microphone.getAudioTracks()[0], microphone);
    pc.addTransceiver("video", {direction: "recvonly"});
    await pc.setLocalDescription();
    const response = await fetch("/v1/sessions?avatar=ada&client=" + pageId, {
      method: "POST", headers: {"Content-Type": "application/sdp"}, body: pc.localDescription.sdp});
    // 201: Location (the session's secret URL, relative), ETag (the ICE session), body = SDP answer
    await pc.setRemoteDescription({type: "answer", sdp: await response.text()});

Candidates may be in the offer, may follow by PATCH, or may be missing altogether: the answer carries every candidate
of the server, and the server answers checks from wherever they come. `client` (optional, 8 to 64 characters of
`A-Za-z0-9_-`) names the page: a second Start of one page is refused with 409 as long as its first session lives.
`avatar` may be left out: the default then appears.

**Trickle.** PATCH with `application/trickle-ice-sdpfrag` (RFC 8840): lines `a=ice-ufrag`, `a=ice-pwd`, `m=`, `a=mid`,
`a=candidate`, `a=end-of-candidates`. `If-Match` may carry the ETag; a stale one gets 412. ICE restarts get 422.

**Ending.** DELETE the `Location`, on `pagehide` with `fetch(url, {method: "DELETE", keepalive: true})`. A page that
just vanishes is noticed by its DTLS alert, or else by silence on the wire (`media_timeout`).

**Errors** are JSON, `{"error": "<code>", "message": "<what to do>"}`, and never cost a peer connection:

    400 bad_offer         not SDP, no audio, no BUNDLE, no ICE credentials or fingerprint, too many sections/candidates
    401 unauthorized      a token is set (`--token`) and `Authorization: Bearer` does not carry it
    404 unknown_avatar    the message lists those that exist;  404 unknown_session  it ended or never was
    406 no_usable_codec   audio without Opus, or video without VP8 and H.264 (packetization mode 1)
    409 already_started   this `client` has a session
    412 stale_etag        If-Match names another ICE session
    413 too_large         body above 64 KiB
    415 wrong_type        Content-Type is not application/sdp (POST) or application/trickle-ice-sdpfrag (PATCH)
    422 no_restart        the fragment carries other ICE credentials: start a new session instead
    503 full | draining   every place is taken; Retry-After says when to try again
"""
