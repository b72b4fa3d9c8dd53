"""The studio draws labelled talking heads and the avatars that ship, from MakeHuman's CC0 assets.

    python -m training.studio sheet  --assets DATA cast.png                     the cast at rest
    python -m training.studio sheet  --assets DATA --identity mira mira.png     one identity in seventeen states
    python -m training.studio frames --assets DATA --out frames/ --seed 2 --identities 300
    python -m training.studio pack   --assets DATA --out engines/assets/avatars the avatar packs

DATA is MakeHuman's `data` folder. Pictures need OpenGL 3.3 through EGL; Mesa's software rasteriser will do (set
LP_NUM_THREADS=1 and start several workers of `frames`): about 0.8 s of CPU for a picture of 512 x 512.

The way of the data: `assets` reads files, `identity` shapes a person of the `cast` or the `crowd`, `rig` evaluates
every coefficient of the face once as a linear delta, `figure` dresses the person into `surface`s, `scene` adds `camera`
and lights, `rasterizer` draws. `sampler` decides the motions, `frames` writes pictures with their motions,
`head_export` writes the mesh that serving poses (`outfit`: its hair and garment), by the same formula
(`engines.head_mesh`), so labels and pictures agree to 0.002 dm; `labels` are keypoints and masks of any frame.
"""
