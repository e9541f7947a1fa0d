#pragma once
// Archives that more than one target of an unpacking is tested with.
#include "support.hpp"

namespace corten::storage::testing {

inline std::string replacing_archive() {
    return TarText()
        .file("x", "1")
        .file("x", "22")
        .directory("y")
        .file("y/deep", "1")
        .file("y", "now a file")
        .file("z", "1")
        .directory("z")
        .file("z/1", "1")
        .directory("k", 0700)
        .file("k/1", "kept")
        .directory("k", 0711)
        .symlink("l", "a")
        .symlink("l", "b")
        .file("h", "1")
        .hard_link("h2", "h")
        .hard_link("h3", "h")
        .file("h", "another")
        .hard_link("self", "h2")
        .hard_link("self", "self")
        .finish();
}

inline std::string whiteouts_archive() {
    return TarText()
        .file("etc/.wh.gone")
        .directory("cleared")
        .file("cleared/.wh..wh..opq")
        .file("cleared/new", "n")
        .file(".wh..wh.plnk/1.2", "aufs")
        .file(".wh..wh.aufs")
        .finish();
}

/// Marks and the entries that they do not concern, in either order.
inline std::string whiteouts_beside_entries_archive() {
    return TarText()
        .file(".wh.a")
        .directory("a")
        .file("a/1", "1")
        .file(".wh.b")
        .file("b/implied", "2")
        .directory("c")
        .file("c/1", "3")
        .file(".wh.c")
        .file("d", "4")
        .file(".wh.d")
        .file(".wh.e")
        .file("e", "5")
        .finish();
}

inline std::string symlinked_parents_archive() {
    return TarText()
        .directory("usr/lib")
        .symlink("lib", "/usr/lib")
        .symlink("lib2", "lib")
        .symlink("up", "../../../usr/./lib/../lib")
        .file("lib/a", "1")
        .file("lib2/b", "2")
        .file("up/c", "3")
        .hard_link("lib2/d", "lib/a")
        .directory("lib/sub", 0700)
        .file("lib/sub/e", "4")
        .finish();
}

/// A directory that becomes a symlink to another one and a directory again.
inline std::string replaced_directory_archive() {
    return TarText()
        .directory("a")
        .file("a/1", "1")
        .symlink("a", "b")
        .directory("b")
        .file("a/2", "2")
        .directory("a")
        .file("a/3", "3")
        .finish();
}

/// `depth` directories in each other, with names of `length`: "ddd/ddd/".
inline std::string deep_path(int depth, std::size_t length) {
    std::string path;
    for (int i = 0; i < depth; ++i) path += std::string(length, 'd') + "/";
    return path;
}

}  // namespace corten::storage::testing
