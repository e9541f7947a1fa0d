// What the runtime reads of the files of the kernel and of an image.
#include "fuzz.hpp"
#include "rootfs.hpp"
#include "store.hpp"
#include "systemd_limits.hpp"
#include "systemd_unit.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = corten::text_of(data, size);
    (void)corten::runtime_cli::start_time_in(text);
    (void)corten::runtime_cli::driver_name(text, 'c', 136);
    (void)corten::runtime::kernel_file_systems(text, "/root");
    (void)corten::runtime::home_of(1000, text);
    return 0;
}
