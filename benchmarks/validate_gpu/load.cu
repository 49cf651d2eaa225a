// A CUDA load of known occupancy: BLOCKS blocks of THREADS threads, all busy for SECONDS.
//
//   load SECONDS BLOCKS THREADS ON_MS OFF_MS [MIB]
//
// As long as BLOCKS does not exceed the number of multiprocessors, each block runs on its own multiprocessor. The share
// of multiprocessors with a resident warp is then BLOCKS / multiprocessors, and the occupancy is
// BLOCKS * THREADS / (multiprocessors * maximum resident threads per multiprocessor). The load alternates between
// ON_MS milliseconds of work and OFF_MS milliseconds without work. With BLOCKS 0 it only creates a context. It holds MIB
// mebibytes of the GPU's memory, as a server holds its weights.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

__global__ void spin(unsigned long long nanoseconds) {
    unsigned long long start, now;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(start));
    do {
        asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
    } while (now - start < nanoseconds);
}

int main(int argc, char **argv) {
    cudaDeviceProp device;
    if (argc < 6 || cudaGetDeviceProperties(&device, 0) != cudaSuccess) return 2;
    const double seconds = atof(argv[1]);
    const int blocks = atoi(argv[2]), threads = atoi(argv[3]), on_ms = atoi(argv[4]), off_ms = atoi(argv[5]);
    printf("%d %d\n", device.multiProcessorCount, device.maxThreadsPerMultiProcessor);
    fflush(stdout);
    void *weights = nullptr;
    if (argc > 6 && cudaMalloc(&weights, static_cast<size_t>(atoll(argv[6])) << 20) != cudaSuccess) return 4;
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (std::chrono::steady_clock::now() < end) {
        if (blocks > 0) {
            spin<<<blocks, threads>>>(1000000ull * on_ms);
            if (cudaDeviceSynchronize() != cudaSuccess) return 3;
        } else {
            cudaFree(nullptr);  // a context and no work
            std::this_thread::sleep_for(std::chrono::milliseconds(on_ms));
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(off_ms));
    }
    return 0;
}
