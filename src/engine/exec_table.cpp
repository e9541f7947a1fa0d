#include "exec_table.hpp"

#include <algorithm>

namespace corten::engine {

namespace {
constexpr std::size_t most_ended = 1024;
}

void ExecTable::Execs::end(ExecRecord& record, int code) {
    if (!record.exit_code) ended.push_back(record.id);
    record.running = false;
    record.exit_code = code;
}

void ExecTable::Execs::forget_old() {
    for (; ended.size() > most_ended; ended.pop_front()) by_id.erase(ended.front());
}

void ExecTable::insert(ExecRecord record) {
    execs_.with([&](Execs& execs) {
        if (record.exit_code) execs.ended.push_back(record.id);
        execs.by_id[record.id] = std::move(record);
        execs.forget_old();
    });
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

void ExecTable::end(const std::string& id, int code) {
    execs_.with([&](Execs& execs) {
        const auto at = execs.by_id.find(id);
        if (at == execs.by_id.end()) return;
        at->second.started = true;
        execs.end(at->second, code);
        execs.forget_old();
    });
}

void ExecTable::end_with(const std::string& container_id, int code) {
    execs_.with([&](Execs& execs) {
        for (auto& [id, record] : execs.by_id)
            if (record.container_id == container_id && record.running) execs.end(record, code);
        std::erase_if(execs.by_id, [&](const auto& entry) {
            return entry.second.container_id == container_id && !entry.second.started;
        });
        execs.forget_old();
    });
}

bool ExecTable::any_runs_in(const std::string& container_id) const {
    return execs_.with([&](const Execs& execs) {
        return std::ranges::any_of(execs.by_id, [&](const auto& entry) {
            return entry.second.container_id == container_id && entry.second.running;
        });
    });
}

void ExecTable::erase_of(const std::string& container_id) {
    execs_.with([&](Execs& execs) {
        std::erase_if(execs.by_id,
                      [&](const auto& entry) { return entry.second.container_id == container_id; });
        std::erase_if(execs.ended, [&](const auto& id) { return !execs.by_id.contains(id); });
    });
}

}  // namespace corten::engine
