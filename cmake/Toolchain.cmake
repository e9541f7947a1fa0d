# One compiler: clang 19 with libstdc++ 12 and lld. g++ below 13 miscompiles coroutines, and two
# compilers would be two sets of warnings; the presets name it, this file insists.
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
    message(FATAL_ERROR "Corten builds with clang 19 or newer, found ${CMAKE_CXX_COMPILER_ID} "
                        "${CMAKE_CXX_COMPILER_VERSION}: use a preset, e.g. cmake --preset dev")
endif()

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS ON) # TRY() is a statement expression
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

add_compile_options(-Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor -Wconversion
                    -Wno-sign-conversion -Wno-gnu-statement-expression -Wno-missing-field-initializers
                    -Wno-missing-designated-field-initializers
                    -fstack-protector-strong -ffunction-sections -fdata-sections)
# Position independent everywhere, by hand: CMake's own switch tells libraries from programs apart
# and the precompiled header could not serve both.
add_compile_options(-fPIE)
add_link_options(-pie)
add_compile_definitions(_GNU_SOURCE)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
    add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
add_link_options(-fuse-ld=lld-19 -Wl,--gc-sections,--icf=safe -Wl,-z,relro,-z,now)

set(CORTEN_SANITIZE "" CACHE STRING "sanitizers, as -fsanitize= takes them")
if(CORTEN_SANITIZE)
    add_compile_options(-fsanitize=${CORTEN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${CORTEN_SANITIZE})
endif()
if(CORTEN_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()

find_program(CORTEN_CCACHE ccache)
if(CORTEN_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    # The precompiled header is compared by content, and paths of build folders do not count.
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_NOHASHDIR=1
        CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CORTEN_CCACHE})
    add_compile_options(-Xclang -fno-pch-timestamp)
endif()
