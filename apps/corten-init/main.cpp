// corten-init [--] PROGRAM [ARGUMENT...]: see init/init.hpp. Mounted into containers at
// /sbin/docker-init.
#include <init/init.hpp>

#include <unistd.h>

#include <cstring>

int main(int argc, char** argv) {
    int first = 1;
    if (argc > first && std::strcmp(argv[first], "--") == 0) ++first;
    if (argc > first) return corten::init::run(argv + first);
    constexpr char usage[] = "usage: corten-init [--] PROGRAM [ARGUMENT...]\n";
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, usage, sizeof usage - 1);
    return 2;
}
