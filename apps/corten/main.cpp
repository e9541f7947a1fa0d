#include <cli/main.hpp>

int main(int argc, char** argv) {
    return corten::cli::run_command_line({argv + 1, argv + argc});
}
