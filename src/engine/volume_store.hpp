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
    /// A new directory for the files of a volume that is yet to be; whoever asks removes it, or
    /// hands it to adopt(). After a crash remove_orphans() does.
    Result<std::string> prepare();
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
    Result<void> remove_files(const std::string& name);
    storage::Database* db_;
    std::string directory_;
};

}  // namespace corten::engine
