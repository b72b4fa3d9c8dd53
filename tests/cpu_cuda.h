// Lets a C++ compiler run kernels that need no co-operation of threads: one thread after the other, block by block.
#include <cmath>
#include <cstdint>
#define __global__
#define __device__
#define __forceinline__ inline

struct Three { unsigned x, y, z; };
struct uint4 { uint32_t x, y, z, w; };
static thread_local Three blockIdx, blockDim, threadIdx;

template <typename Kernel, typename... Arguments>
static void run(Kernel kernel, const unsigned* grid, const unsigned* block, Arguments... arguments) {
    blockDim = {block[0], block[1], block[2]};
    for (blockIdx.z = 0; blockIdx.z < grid[2]; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < grid[1]; ++blockIdx.y)
    for (blockIdx.x = 0; blockIdx.x < grid[0]; ++blockIdx.x)
    for (threadIdx.z = 0; threadIdx.z < block[2]; ++threadIdx.z)
    for (threadIdx.y = 0; threadIdx.y < block[1]; ++threadIdx.y)
    for (threadIdx.x = 0; threadIdx.x < block[0]; ++threadIdx.x)
        kernel(arguments...);
}
