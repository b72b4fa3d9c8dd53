"""GLSL of the studio: shadowed sum of 16 lights, skin with a diffusion blur, eyes, teeth, hair cards, tone mapping."""

LIGHTS = 16
SOFTBOX_LIGHTS = 5
"""The first lights, whose shadows are seen as such, take three shadow taps; the others one."""
DIRECT_LIGHTS = 10
"""The first lights, which shine; the dome's only lighten."""

VERTEX = """#version 330
in vec3 in_position; in vec3 in_normal; in vec2 in_uv; in float in_occlusion;
uniform mat4 view, projection;
out vec3 position, normal; out vec2 uv; out float occlusion, depth;
invariant gl_Position;
void main() {
  position = in_position; normal = in_normal; uv = in_uv; occlusion = in_occlusion;
  vec4 seen = view * vec4(in_position, 1);
  depth = -seen.z;
  gl_Position = projection * seen;
}"""

_LIT = (
    """#version 330
#define LIGHTS """
    + str(LIGHTS)
    + f"""
#define SOFTBOX {SOFTBOX_LIGHTS}
#define DIRECT {DIRECT_LIGHTS}"""
    + """
uniform sampler2DShadow shadow; uniform mat4 light_matrix[LIGHTS];
uniform vec3 light_direction[LIGHTS], light_colour[LIGHTS], eye, camera;
uniform float tile, bias, normal_offset;
uniform sampler2D image; uniform int kind;
in vec3 position, normal; in vec2 uv; in float occlusion, depth;
vec3 place(int i, vec3 p) {  // in the light's tile of the atlas
  vec3 s = (light_matrix[i] * vec4(p, 1)).xyz * .5 + .5;
  return vec3(vec2(i % 4, i / 4) * .25 + clamp(s.xy, .004, .996) * .25, s.z - bias);
}
float visible(int i, vec3 p) { return texture(shadow, place(i, p)); }
float softly_visible(int i, vec3 p) {  // three taps
  vec3 q = place(i, p); float t = tile * .7;
  float sum = texture(shadow, q + vec3(-t, -t * .5, 0)) + texture(shadow, q + vec3(t, -t * .5, 0));
  return (sum + texture(shadow, q + vec3(0, t, 0))) * .3333;
}
float ggx(vec3 n, vec3 h, vec3 v, vec3 l, float a) {
  float nh = max(dot(n, h), 0.), a2 = a * a, d = nh * nh * (a2 - 1.) + 1.;
  float nl = max(dot(n, l), 0.), nv = max(dot(n, v), .05), k = a * .5;
  return a2 / (3.14159 * d * d) / ((nl * (1. - k) + k) * (nv * (1. - k) + k)) * .25 * nl;
}
vec3 softened(float s) {  // close to pow(s, vec3(.6, .95, 1.05)), which is slow
  float root = sqrt(s);
  return vec3(root * (.62 + root * (.62 - .24 * root)), s * (1.05 - .05 * s), s * (.95 + .05 * s));
}
vec3 linear(vec3 c) { return pow(c, vec3(2.2)); }
"""
)

SURFACE = (
    _LIT
    + """
uniform sampler2D mask; uniform vec3 tint, iris_tint; uniform float bump, roughness, recolour, reference_depth;
uniform vec4 lip;
layout(location=0) out vec4 out_light; layout(location=1) out vec4 out_albedo; layout(location=2) out vec4 out_gloss;
float highlight(vec3 n, vec3 v, vec3 l, float f0, float rough, int kind) {  // times the light's cosine
  vec3 h = normalize(l + v); float grazing = 1. - max(dot(v, h), 0.), square = grazing * grazing;
  float fresnel = f0 + (1. - f0) * square * square * grazing;
  float lobe = kind == 0 ? .75 * ggx(n, h, v, l, rough) + .35 * ggx(n, h, v, l, rough * .55)
                         : ggx(n, h, v, l, rough * rough * 1.6);
  return 3.14159 * fresnel * lobe;
}
void main() {
  vec4 t = texture(image, uv); vec3 n = normalize(normal), v = normalize(eye - position);
  if (dot(n, camera - position) < 0. && kind != 0) n = -n;
  if (kind == 4 && t.a < .5) discard;
  vec3 albedo = linear(t.rgb);
  float rough = roughness, f0 = .028, scatter = 0., gloss = 1., open = 1., cavity = 1., inside = 0.;
  if (kind == 0 || kind == 4 || kind == 3) {  // bump from the texture's fine detail
    float h = kind == 0 ? t.a : dot(t.rgb, vec3(.3, .6, .1));
    vec3 sx = dFdx(position), sy = dFdy(position), r1 = cross(sy, n), r2 = cross(n, sx); float det = dot(sx, r1);
    vec3 slope = sign(det) * (dFdx(h) * r1 + dFdy(h) * r2) * bump;
    slope *= min(1., .3 * abs(det) / max(length(slope), 1e-12));  // pursed lips crowd the texture into sparks
    n = normalize(abs(det) * n - slope);
  }
  if (kind == 0) {  // skin
    vec4 m = texture(mask, uv); scatter = 1.; inside = m.b;
    rough = mix(rough, .34, m.r * .8); rough = mix(rough, .42, m.g * .6);
    albedo = mix(albedo, albedo * lip.rgb, m.r * lip.a);
    albedo = mix(albedo, vec3(.24, .04, .035), inside * .85); rough = mix(rough, .35, inside);
    albedo *= vec3(.97, .89, .86);
    cavity = 1. - .5 * clamp((.5 - t.a) * 4., 0., 1.); open = occlusion; gloss = mix(1. - .45 * m.r, .6, inside);
  } else if (kind == 1) {  // eyeball: the iris is what has colour or is dark
    scatter = .35; f0 = .03; rough = .35; gloss = .35; open = occlusion;
    float high = max(max(albedo.r, albedo.g), albedo.b), low = min(min(albedo.r, albedo.g), albedo.b);
    float iris = clamp(smoothstep(.04, .12, high - low) + 1. - smoothstep(.03, .15, high), 0., 1.);
    vec3 grey = vec3(dot(albedo, vec3(.4, .5, .1)));
    albedo = mix(albedo * vec3(.70, .67, .65), mix(grey, albedo, .7) * .62 * iris_tint, iris);
  } else if (kind == 2) {  // teeth and gums
    float gum = clamp((t.r - t.g) * 5., 0., 1.); vec3 enamel = mix(vec3(dot(albedo, vec3(.33))), albedo, .25);
    albedo = mix(pow(enamel, vec3(.70)) * vec3(.98, .93, .84), albedo * vec3(.9, .55, .5) + .02, gum);
    rough = .24; f0 = .04; scatter = .7; open = occlusion;
  } else if (kind == 3) {  // tongue
    rough = .42; scatter = 1.; open = occlusion; gloss = .7; albedo *= vec3(.72, .42, .42);
  } else {  // cloth
    rough = .75; f0 = .02;
    albedo = mix(albedo, tint * clamp(.55 + dot(albedo, vec3(.3, .6, .1)) * 2.2, .5, 1.15), recolour);
  }
  vec3 light = vec3(0), shine = vec3(0), from = position + normalize(normal) * normal_offset;
  vec3 wrap = kind == 0 ? vec3(.30, .16, .10) : kind == 4 ? vec3(.05) : vec3(.25, .15, .12);
#define LIGHTEN(i, s) light += light_colour[i] * mix(vec3(s), softened(s), scatter) \
    * clamp((dot(n, light_direction[i]) + wrap) / ((1. + wrap) * (1. + wrap)), 0., 1.)
#define SHINE(i, s) shine += light_colour[i] * s * highlight(n, v, light_direction[i], f0, rough, kind)
  for (int i = 0; i < SOFTBOX; i++) { float s = softly_visible(i, from); LIGHTEN(i, s); SHINE(i, s); }
  for (int i = SOFTBOX; i < DIRECT; i++) { float s = visible(i, from); LIGHTEN(i, s); SHINE(i, s); }
  for (int i = DIRECT; i < LIGHTS; i++) { float s = visible(i, from); LIGHTEN(i, s); }
  light *= mix(vec3(open), pow(vec3(open), vec3(.7, 1., 1.05)), scatter);
  light += inside * vec3(.16, .12, .11);  // a reddish floor of light between the lips
  if (kind == 2 || kind == 3) light += vec3(.10, .065, .055) * (1. - open * .6);
  out_light = vec4(light, scatter > 0. ? depth - reference_depth : 100.);
  out_albedo = vec4(albedo, depth);
  out_gloss = vec4(shine * gloss * cavity * open, 1);
}"""
)

CARDS = (
    _LIT
    + """
uniform vec3 tint; uniform float recolour, contrast, cut; uniform int blended; out vec4 colour;
void main() {
  vec4 t = texture(image, uv); float a = t.a; vec3 n = normalize(normal), v = normalize(eye - position);
  if (kind == 8) {  // cornea: reflections of the key softbox, of the fill and of the room
    vec3 from = position + n * normal_offset, r = reflect(-v, n), k = light_direction[0], shine = vec3(0);
    vec3 ks = normalize(cross(k, vec3(0, 1, 0))), ku = cross(ks, k); float d = dot(r, k);
    vec2 q = vec2(dot(r, ks), dot(r, ku)) / max(d, .01);
    float box = d > 0. ? smoothstep(.34, .26, abs(q.x)) * smoothstep(.34, .26, abs(q.y)) : 0.;
    shine += light_colour[0] * 5. * box * .16 * visible(0, from);
    shine += light_colour[6] * 3. * .03 * smoothstep(.90, .94, dot(r, light_direction[6]));
    float fresnel = .02 + .5 * pow(1. - max(dot(n, v), 0.), 4.);
    shine += vec3(.75, .8, .9) * fresnel * .05 * smoothstep(-.2, .8, r.y);
    colour = vec4(shine, 0.0);
    return;
  }
  if (blended == 0) { if (a < cut) discard; a = 1.; } else { if (a >= cut || a < .02) discard; a = a / cut; }
  if (dot(n, camera - position) < 0.) n = -n;
  vec3 albedo = linear(t.rgb); float luminance = dot(albedo, vec3(.3, .6, .1));
  albedo = mix(albedo, tint * (.35 + luminance * contrast), recolour);
  if (kind == 7) albedo = tint;
  vec3 sum = vec3(0), from = position + n * normal_offset * 1.5;
  vec3 sheen = mix(vec3(1), tint / (max(max(tint.r, tint.g), tint.b) + .01), .5);
#define LIGHTEN(i, s) sum += light_colour[i] * albedo * mix(.38, 1., s) \
    * clamp((dot(n, light_direction[i]) + .5) / 2.1, 0., 1.)
#define SHINE(i, s) if (kind == 6) sum += light_colour[i] * s * sheen * (.12 + 2.5 * luminance) * .22 \
    * ggx(n, normalize(light_direction[i] + v), v, light_direction[i], .36)
  for (int i = 0; i < SOFTBOX; i++) { float s = softly_visible(i, from); LIGHTEN(i, s); SHINE(i, s); }
  for (int i = SOFTBOX; i < DIRECT; i++) { float s = visible(i, from); LIGHTEN(i, s); SHINE(i, s); }
  for (int i = DIRECT; i < LIGHTS; i++) { float s = visible(i, from); LIGHTEN(i, s); }
  colour = vec4(sum * a, a);
}"""
)

DEPTH = """#version 330
uniform sampler2D image; uniform int kind; uniform float cut;
in vec3 position, normal; in vec2 uv; in float occlusion, depth;
void main() { if (kind >= 4 && texture(image, uv).a < cut) discard; }"""

SHADOW_VERTEX = """#version 330
in vec3 in_position; in vec2 in_uv; uniform mat4 light; out vec2 uv;
void main() { uv = in_uv; gl_Position = light * vec4(in_position, 1); }"""

SHADOW = """#version 330
uniform sampler2D image; uniform int kind; in vec2 uv;
void main() { if (kind >= 4 && texture(image, uv).a < .5) discard; }"""

SCREEN_VERTEX = """#version 330
out vec2 at;
void main() { at = vec2((gl_VertexID << 1) & 2, gl_VertexID & 2); gl_Position = vec4(at * 2. - 1., 0, 1); }"""

DIFFUSION = """#version 330
uniform sampler2D lit; uniform vec2 direction; uniform float scale, reference_depth; in vec2 at; out vec4 colour;
void main() {  // one pass of a separable blur, wide in red, narrow in blue, that stops at depth edges
  vec4 c = texture(lit, at);
  if (c.a > 50. || c.a == 0.) { colour = c; return; }
  vec3 weight[5] = vec3[](vec3(.26, .48, .60), vec3(.17, .16, .12), vec3(.11, .06, .04), vec3(.06, .025, .01),
                          vec3(.025, .005, .0));
  float offset[5] = float[](0., .3, .65, 1.1, 1.8);
  vec3 sum = c.rgb * weight[0], total = weight[0]; float radius = scale / (c.a + reference_depth);
  for (int i = 1; i < 5; i++) for (int k = -1; k < 2; k += 2) {
    vec4 t = texture(lit, at + direction * offset[i] * radius * float(k)); float dz = t.a - c.a;
    vec3 f = weight[i] * max(0., 1. - dz * dz * 40.) * (t.a == 0. ? 0. : 1.);
    sum += t.rgb * f; total += f;
  }
  colour = vec4(sum / total, c.a);
}"""

COMPOSE = """#version 330
uniform sampler2D lit, albedo, gloss, backdrop; in vec2 at; out vec4 colour;
void main() {
  vec4 shine = texture(gloss, at); vec3 c = texture(lit, at).rgb * texture(albedo, at).rgb + shine.rgb;
  colour = vec4(mix(pow(texture(backdrop, at).rgb, vec3(2.2)), c, shine.a), 1);
}"""

TONE = """#version 330
uniform sampler2D picture; uniform int samples; uniform float exposure; uniform vec2 pixel; in vec2 at; out vec4 colour;
vec3 tone(vec3 c) {
  c *= exposure; c = c * (1. + c / 5.76) / (1. + c * .72); c = pow(clamp(c, 0., 1.), vec3(1. / 2.2));
  return mix(c, c * c * (3. - 2. * c), .28);
}
void main() {
  vec3 sum = vec3(0);
  for (int i = 0; i < samples; i++) for (int j = 0; j < samples; j++)
    sum += tone(texture(picture, at + (vec2(i, j) - .5 * float(samples - 1)) * pixel).rgb);
  colour = vec4(sum / float(samples * samples), 1);
}"""
