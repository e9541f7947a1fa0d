// Layers into EROFS images: what an archive says about names, links, whiteouts and sparse files.
// The image is read again as the kernel would, and from its files and the record the archive has to
// come out byte for byte.
#include "erofs_reader.hpp"
#include "fuzz.hpp"

#include <base/ids.hpp>
#include <storage/compression.hpp>
#include <sys/file.hpp>
#include <sys/stat.h>

#include <erofs_target.hpp>
#include <fcntl.h>
#include <unistd.h>
#include <unpack.hpp>

#include <cstdlib>

namespace {

using namespace corten;

Result<void> unpack(std::string_view archive, FdView image, FdView record_file) {
    const auto record =
        TRY(storage::RecordWriter::create(TRY(sys::duplicate(record_file)), 8 << 20));
    storage::UnpackPolicy policy;
    policy.whiteouts = storage::Whiteouts::overlay;
    policy.limits = {.bytes = 8 << 20, .entries = 10'000};
    policy.record = record.get();
    storage::StringSource source(archive);
    storage::TarReader reader(source, record.get());
    storage::ErofsTarget target(image);
    TRY(storage::unpack_into(target, reader, policy));
    return record->finish();
}

bool has_superblock(FdView image) {
    storage::erofs::SuperBlock super;
    const auto offset = static_cast<off_t>(storage::erofs::super_offset);
    return ::pread(image.raw(), &super, sizeof super, offset) == sizeof super &&
           super.magic_number == storage::erofs::magic;
}

[[noreturn]] void give_up(std::string_view why) {
    fmt::print(stderr, "{}\n", why);
    std::abort();
}

template <typename T>
T must(Result<T> result) {
    if (!result) give_up(result.error().message());
    return *std::move(result);
}

/// An image's directories, links and files, with nothing but their content. Paths may be longer
/// than the kernel takes: what is that deep is left out, and the tree is then not complete.
class Tree {
public:
    Tree() : path_("/dev/shm/corten-fuzz-" + random_hex(8)) {
        if (::mkdir(path_.c_str(), 0700) < 0) std::abort();
    }
    ~Tree() {
        file_.reset();
        sys::remove_tree(path_).ignore();
    }
    Tree(const Tree&) = delete;

    void fill(FdView image) {
        ErofsReader(image, {.directory = [this](const std::string& path) { directory(path); },
                            .symlink = [this](const std::string& path,
                                              const std::string& target) { symlink(path, target); },
                            .file = [this](const std::string& path,
                                           std::uint64_t size) { file(path, size); },
                            .content = [this](std::uint64_t offset,
                                              std::string_view bytes) { content(offset, bytes); }})
            .walk();
    }
    bool is_complete() const { return complete_; }
    Fd open(const char* part) const {
        auto found = sys::open(path_ + "/" + part, O_RDONLY | O_DIRECTORY);
        return found ? *std::move(found) : Fd();
    }

private:
    void directory(const std::string& path) {
        if (::mkdir((path_ + "/" + path).c_str(), 0700) < 0) complete_ = false;
    }
    void symlink(const std::string& path, const std::string& target) {
        if (::symlink(target.c_str(), (path_ + "/" + path).c_str()) < 0) complete_ = false;
    }
    void file(const std::string& path, std::uint64_t size) {
        auto made = sys::open(path_ + "/" + path, O_RDWR | O_CREAT | O_EXCL, 0600);
        file_ = made ? *std::move(made) : Fd();
        if (!file_ || ::ftruncate(file_.raw(), static_cast<off_t>(size)) < 0) complete_ = false;
    }
    void content(std::uint64_t offset, std::string_view bytes) {
        if (file_ && ::pwrite(file_.raw(), bytes.data(), bytes.size(),
                              static_cast<off_t>(offset)) != static_cast<ssize_t>(bytes.size()))
            complete_ = false;
    }

    std::string path_;
    Fd file_;
    bool complete_ = true;
};

std::string replay(FdView record, const Tree& tree) {
    std::string archive;
    storage::StringSink sink(archive);
    const Fd files = tree.open("diff"), replaced = tree.open("replaced");
    if (const auto replayed = storage::replay_record(record, files, replaced, sink); !replayed)
        give_up("replay: " + replayed.error().message());
    return archive;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view archive = text_of(data, size);
    const Fd image = must(sys::memory_file("image")), record = must(sys::memory_file("record"));
    const auto unpacked = unpack(archive, image, record);
    // A layer that was refused must not look like one.
    if (unpacked.has_value() != has_superblock(image)) give_up("half an image, or none");
    if (!unpacked) return 0;
    Tree tree;
    tree.fill(image);
    if (tree.is_complete() && replay(record, tree) != archive) give_up("another archive comes out");
    return 0;
}
