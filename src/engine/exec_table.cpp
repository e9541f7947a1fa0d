#include "exec_table.hpp"

namespace corten::engine {

namespace {
constexpr std::size_t most_ended = 1024;
}

void ExecTable::insert(ExecRecord record) {
    execs_.with([&](Execs& execs) { execs.by_id[record.id] = std::move(record); });
}

Result<ExecRecord> ExecTable::find(std::string_view id) const {
    return execs_.with([&](const Execs& execs) -> Result<ExecRecord> {
        const auto first = id.empty() ? execs.by_id.end() : execs.by_id.lower_bound(id);
        if (first == execs.by_id.end() || !first->first.starts_with(id))
            return fail(ErrorKind::not_found, "No such exec instance: {}", id);
        const auto second = std::next(first);
        if (first->first != id && second != execs.by_id.end() && second->first.starts_with(id))
            return fail(ErrorKind::invalid, "Multiple IDs found with provided prefix: {}", id);
        return first->second;
    });
}

void ExecTable::note_ended(const std::string& id) {
    execs_.with([&](Execs& execs) {
        execs.ended.push_back(id);
        if (execs.ended.size() <= most_ended) return;
        execs.by_id.erase(execs.ended.front());
        execs.ended.pop_front();
    });
}

void ExecTable::erase(const std::string& id) {
    execs_.with([&](Execs& execs) { execs.by_id.erase(id); });
}

void ExecTable::erase_of(const std::string& container_id) {
    execs_.with([&](Execs& execs) {
        std::erase_if(execs.by_id,
                      [&](const auto& entry) { return entry.second.container_id == container_id; });
    });
}

}  // namespace corten::engine
