# Everything comes from Debian 12 packages (packaging/debian-packages lists them).
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(ZLIB REQUIRED)
if(CORTEN_TESTS OR NOT DEFINED CORTEN_TESTS)
    find_package(GTest REQUIRED)
endif()
pkg_check_modules(seccomp REQUIRED IMPORTED_TARGET libseccomp)
# The supervisor and the runtime are static programs, so the archive serves all of them.
find_library(CORTEN_SECCOMP_ARCHIVE libseccomp.a REQUIRED)
set_target_properties(PkgConfig::seccomp PROPERTIES
    INTERFACE_LINK_LIBRARIES ${CORTEN_SECCOMP_ARCHIVE})
# Archives: of the shared library every program would load all formats and what they need.
find_library(CORTEN_STATIC_ARCHIVE libarchive.a REQUIRED)
find_library(CORTEN_STATIC_LZMA liblzma.a REQUIRED)
find_library(CORTEN_STATIC_BZIP2 libbz2.a REQUIRED)
pkg_check_modules(isal REQUIRED IMPORTED_TARGET libisal)
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(nftables REQUIRED IMPORTED_TARGET libnftables)
pkg_check_modules(mnl REQUIRED IMPORTED_TARGET libmnl)
