#pragma once
// Volumes of the local driver: a directory DATA/volumes/NAME/_data and a row each.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <storage/database.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace corten::engine {

/// docker's mark of a volume that was made without a name.
constexpr std::string_view anonymous_volume_label = "com.docker.volume.anonymous";

struct VolumeRecord {
    std::string name;
    std::int64_t created = 0;  ///< nanoseconds since the epoch
    std::map<std::string, std::string> labels;
    std::map<std::string, std::string> options;
    bool filled = false;  ///< copy-up from an image was done, or something was mounted already

    static constexpr void fields(auto visit) {
        using C = VolumeRecord;
        visit(field("name", &C::name), field("created", &C::created), field("labels", &C::labels),
              field("options", &C::options), field("filled", &C::filled));
    }
};

class VolumeStore {
public:
    static Result<VolumeStore> open(storage::Database& db, std::string directory);

    /// An existing volume of that name is given back as it is; `made` tells which it was. Options
    /// as in volume_options.hpp; `unsupported` for a size where the disk keeps no project quotas.
    struct Made {
        VolumeRecord volume;
        bool made = false;
    };
    Result<Made> create(VolumeRecord wanted);
    Result<std::optional<VolumeRecord>> find(const std::string& name) const;
    Result<std::vector<VolumeRecord>> list() const;
    Result<void> mark_filled(const std::string& name);
    /// A new directory, with its files below _data, for a volume that is yet to be or to be filled.
    /// Whoever asks ends it with discard(), whatever became of it; after a crash remove_orphans()
    /// does. `most_bytes` as a volume's size, 0 is no limit.
    Result<std::string> prepare(std::uint64_t most_bytes = 0);
    void discard(const std::string& prepared);
    /// Puts prepared files into an empty volume that nobody has used yet, all at once; one that was
    /// filled or used meanwhile keeps what it has.
    Result<void> fill(const std::string& name, const std::string& prepared);
    /// Makes a volume of a prepared directory. conflict when there is one of that name.
    Result<VolumeRecord> adopt(const std::string& prepared, VolumeRecord wanted);
    Result<void> remove(const std::string& name);
    /// Removes directories that no row names: what a crash left of a create or a remove.
    Result<void> remove_orphans();

    std::string mountpoint(const std::string& name) const {
        return directory_ + "/" + name + "/_data";
    }

private:
    VolumeStore(storage::Database& db, std::string directory)
        : db_(&db), directory_(std::move(directory)) {}
    Result<void> make_files(const std::string& name, std::uint64_t most_bytes);
    Result<void> remove_files(const std::string& name);
    Result<void> mark_filled(VolumeRecord record);
    storage::Database* db_;
    std::string directory_;
};

}  // namespace corten::engine
