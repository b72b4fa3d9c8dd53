// Our own kernels: what lies between the networks and must not leave the GPU. Compiled by NVRTC (engines/kernels.py).
//
// A batch has rows; a session keeps what it remembers in a slot of a table in device memory. `slots` says, for every row
// of a batch, whose it is: so the same captured graph serves whoever takes part in a tick. A row whose slot is negative
// only fills up the batch, and is left alone. No kernel needs its threads to wait for each other, so that a C++ compiler
// can run them on a CPU as well (tests/test_kernels.py).

typedef unsigned char byte;

__device__ __forceinline__ int index_x() { return blockIdx.x * blockDim.x + threadIdx.x; }
__device__ __forceinline__ int index_y() { return blockIdx.y * blockDim.y + threadIdx.y; }

// --- What sessions remember -----------------------------------------------------------------------------------------

// batch (rows, words) = table (slots, words) at `slots`; words are 16 bytes. Grid: x over words, y over rows.
extern "C" __global__ void gather_rows(const uint4* table, const int* slots, uint4* batch, int words) {
    const int word = index_x(), slot = slots[blockIdx.y];
    if (word < words && slot >= 0) batch[(long long)blockIdx.y * words + word] = table[(long long)slot * words + word];
}

// The way back.
extern "C" __global__ void scatter_rows(uint4* table, const int* slots, const uint4* batch, int words) {
    const int word = index_x(), slot = slots[blockIdx.y];
    if (word < words && slot >= 0) table[(long long)slot * words + word] = batch[(long long)blockIdx.y * words + word];
}

// Rings of past expressions: ring (slots, length, width), heads (slots): where each ring's oldest entry is. The heads lie
// in device memory because a captured graph repeats its arguments as they were.

// Let each row's chosen one of `choices` values, `width` of them, take the place of the oldest entry: values (rows,
// choices, width), chosen (rows). One thread a row.
extern "C" __global__ void ring_push(
    float* ring, int* heads, const int* slots, const float* values, const int* chosen, int rows, int choices, int length,
    int width) {
    const int row = index_x();
    if (row >= rows || slots[row] < 0) return;
    const int slot = slots[row], head = heads[slot];
    float* entry = ring + ((long long)slot * length + head) * width;
    const float* value = values + ((long long)row * choices + chosen[row]) * width;
    for (int i = 0; i < width; ++i) entry[i] = value[i];
    heads[slot] = (head + 1) % length;
}

// history (rows, length, width), oldest first. Grid: x over length * width, y over rows.
extern "C" __global__ void ring_window(
    const float* ring, const int* heads, const int* slots, float* history, int length, int width) {
    const int i = index_x(), slot = slots[blockIdx.y];
    if (i >= length * width || slot < 0) return;
    const int entry = (heads[slot] + i / width) % length;
    history[(long long)blockIdx.y * length * width + i] = ring[((long long)slot * length + entry) * width + i % width];
}

// Fill the rings of `slots` with the expression at rest, `rest` (width). One thread a row.
extern "C" __global__ void ring_reset(
    float* ring, int* heads, const int* slots, const float* rest, int rows, int length, int width) {
    const int row = index_x();
    if (row >= rows || slots[row] < 0) return;
    float* first = ring + (long long)slots[row] * length * width;
    for (int i = 0; i < length * width; ++i) first[i] = rest[i % width];
    heads[slots[row]] = 0;
}

// --- Keypoints ------------------------------------------------------------------------------------------------------

// Where the motion puts the keypoints of the sources: scale * (canonical @ rotation + exp) + t.
// faces (rows, stride): the person's own keypoints (count, 3), and where they are in the source (count, 3).
// moves (rows, 13 + 3 * count): rotation (3, 3), t (3), scale, exp (count, 3).
// source, driving (rows, count, 3): what the warping takes. both (rows, 2, count, 3): what the stitching takes, or null.
// Grid: x over rows * count.
extern "C" __global__ void place_keypoints(
    const float* faces, const float* moves, float* source, float* driving, float* both, int rows, int count, int stride) {
    const int i = index_x();
    if (i >= rows * count) return;
    const int row = i / count, at = 3 * (i % count);
    const float *own = faces + (long long)row * stride + at, *move = moves + (long long)row * (13 + 3 * count);
    for (int axis = 0; axis < 3; ++axis) {
        const float turned = own[0] * move[axis] + own[1] * move[3 + axis] + own[2] * move[6 + axis];
        const float there = move[12] * (turned + move[13 + at + axis]) + move[9 + axis];
        const float here = own[3 * count + axis];
        source[3 * i + axis] = here;
        driving[3 * i + axis] = there;
        if (both) {
            both[6 * row * count + at + axis] = here;
            both[(6 * row + 3) * count + at + axis] = there;
        }
    }
}

// Mend the keypoints by what the stitching says: offsets (rows, 3 * count + 2), one for each, and x and y for all.
extern "C" __global__ void stitch_keypoints(const float* offsets, float* driving, int rows, int count) {
    const int i = index_x();
    if (i >= rows * count) return;
    const float* own = offsets + (long long)(i / count) * (3 * count + 2);
    for (int axis = 0; axis < 3; ++axis) {
        const float shift = axis < 2 ? own[3 * count + axis] : 0.0f;
        driving[3 * i + axis] += own[3 * (i % count) + axis] + shift;
    }
}

// --- Pictures -------------------------------------------------------------------------------------------------------

// Shares of four neighbours at `t` between the middle two: OpenCV's cubic.
__device__ __forceinline__ void cubic(float t, float (&shares)[4]) {
    const float a = -0.75f, u = 1.0f - t;
    shares[0] = ((a * (t + 1.0f) - 5.0f * a) * (t + 1.0f) + 8.0f * a) * (t + 1.0f) - 4.0f * a;
    shares[1] = ((a + 2.0f) * t - (a + 3.0f)) * t * t + 1.0f;
    shares[2] = ((a + 2.0f) * u - (a + 3.0f)) * u * u + 1.0f;
    shares[3] = 1.0f - shares[0] - shares[1] - shares[2];
}

__device__ __forceinline__ int within(int at, int size) { return at < 0 ? 0 : at < size ? at : size - 1; }

// The value at (u, v), counted from the first pixel's centre, of a plane (size, size) that goes on beyond its border.
__device__ __forceinline__ float cubic_at(const float* plane, int size, float u, float v) {
    const int column = (int)floorf(u), row = (int)floorf(v);
    float across[4], down[4], sum = 0.0f;
    cubic(u - column, across);
    cubic(v - row, down);
    for (int j = 0; j < 4; ++j) {
        const float* line = plane + (long long)within(row + j - 1, size) * size;
        for (int i = 0; i < 4; ++i) sum += down[j] * across[i] * line[within(column + i - 1, size)];
    }
    return sum;
}

// pictures (rows, 3, size, size) to (rows, 3, large, large), cubic. Grid: x, y over large, z over rows and channels.
extern "C" __global__ void enlarge(const float* pictures, float* enlarged, int size, int large) {
    const int x = index_x(), y = index_y();
    if (x >= large || y >= large) return;
    const float scale = (float)size / large;
    const float* own = pictures + (long long)blockIdx.z * size * size;
    enlarged[((long long)blockIdx.z * large + y) * large + x] =
        cubic_at(own, size, (x + 0.5f) * scale - 0.5f, (y + 0.5f) * scale - 0.5f);
}

__device__ __forceinline__ float clamped(float share) { return fminf(fmaxf(share, 0.0f), 1.0f); }

__device__ __forceinline__ int level(float share) {  // 0..1 to 0..255, to the nearest
    return (int)(clamped(share) * 255.0f + 0.5f);
}

// Four pixels, row by row, to BT.601 in limited range, in OpenCV's integers; the colour is that of the first, as there.
__device__ __forceinline__ void write_i420(
    const int (&red)[4], const int (&green)[4], const int (&blue)[4], byte* planes, int x, int y, int height, int width) {
    for (int i = 0; i < 4; ++i) {
        const int luma = 269484 * red[i] + 528482 * green[i] + 102760 * blue[i] + (16 << 20) + (1 << 19);
        planes[(long long)(y + i / 2) * width + x + i % 2] = (byte)(luma >> 20);
    }
    const long long area = (long long)height * width;
    const long long at = (long long)(y / 2) * (width / 2) + x / 2;
    const int middle = (128 << 20) + (1 << 19);
    planes[area + at] = (byte)((-155188 * red[0] - 305135 * green[0] + 460324 * blue[0] + middle) >> 20);
    planes[area + area / 4 + at] = (byte)((460324 * red[0] - 385875 * green[0] - 74448 * blue[0] + middle) >> 20);
}

// picture (rows, 3, height, width) in 0..1 to planes (rows, height * 3 / 2, width). Grid: x, y over 2 x 2 pixels, z rows.
extern "C" __global__ void i420(const float* picture, byte* planes, int height, int width) {
    const int x = 2 * index_x(), y = 2 * index_y();
    if (x >= width || y >= height) return;
    const long long area = (long long)height * width;
    const float* own = picture + blockIdx.z * 3 * area;
    int red[4], green[4], blue[4];
    for (int i = 0; i < 4; ++i) {
        const long long at = (long long)(y + i / 2) * width + x + i % 2;
        red[i] = level(own[at]);
        green[i] = level(own[area + at]);
        blue[i] = level(own[2 * area + at]);
    }
    write_i420(red, green, blue, planes + blockIdx.z * (area + area / 2), x, y, height, width);
}

// Lay a picture (3, size, size) in 0..1 back into the photo, bytes (height, width, 3), that it was cut from: planes
// (height * 3 / 2, width), even lengths. The pixel (x, y) of the photo is at (a x + b y + c, d x + e y + f) of the picture,
// both counted from the first one's centre, and shows the mean of samples x samples of the picture's values. Over
// `feather` of its pixels the picture passes into the photo, which stays as it is around it. Grid: x, y over 2 x 2 pixels.
extern "C" __global__ void paste_back(
    const float* picture, const byte* photo, byte* planes, float a, float b, float c, float d, float e, float f, int size,
    int feather, int samples, int height, int width) {
    const int left = 2 * index_x(), top = 2 * index_y(), taken = samples * samples;
    if (left >= width || top >= height) return;
    int levels[3][4];
    for (int i = 0; i < 4; ++i) {
        const int x = left + i % 2, y = top + i / 2;
        const float u = a * x + b * y + c, v = d * x + e * y + f, last = size - 1.0f;
        const float depth = fminf(fminf(u, last - u), fminf(v, last - v)) + 0.5f;
        const float part = clamped(depth / feather), share = part * part * (3.0f - 2.0f * part);
        float sums[3] = {0.0f, 0.0f, 0.0f};
        for (int k = 0; share > 0.0f && k < taken; ++k) {
            const float across = (k % samples + 0.5f) / samples - 0.5f, down = (k / samples + 0.5f) / samples - 0.5f;
            const float column = u + a * across + b * down, row = v + d * across + e * down;
            for (int j = 0; j < 3; ++j) sums[j] += cubic_at(picture + (long long)j * size * size, size, column, row);
        }
        for (int j = 0; j < 3; ++j) {
            const float under = photo[3 * ((long long)y * width + x) + j] / 255.0f;
            levels[j][i] = level(under + share * (clamped(sums[j] / taken) - under));
        }
    }
    write_i420(levels[0], levels[1], levels[2], planes, left, top, height, width);
}
