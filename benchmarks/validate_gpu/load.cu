// A CUDA load of known occupancy: so many blocks of so many threads, each busy until the time is over.
//
//   load SECONDS BLOCKS THREADS ON_MS OFF_MS
//
// One block runs on each multiprocessor as long as there are no more blocks than multiprocessors: then the share of
// multiprocessors with a warp resident is BLOCKS / multiprocessors, and the occupancy is
// BLOCKS * THREADS / (multiprocessors * threads a multiprocessor holds). ON_MS and OFF_MS make it work and rest in turn.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

__global__ void spin(unsigned long long nanoseconds) {
    unsigned long long began, now;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(began));
    do {
        asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
    } while (now - began < nanoseconds);
}

int main(int count, char **given) {
    cudaDeviceProp device;
    if (count < 6 || cudaGetDeviceProperties(&device, 0) != cudaSuccess) return 2;
    const double seconds = atof(given[1]);
    const int blocks = atoi(given[2]), threads = atoi(given[3]), on_ms = atoi(given[4]), off_ms = atoi(given[5]);
    printf("%d %d\n", device.multiProcessorCount, device.maxThreadsPerMultiProcessor);
    fflush(stdout);
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
