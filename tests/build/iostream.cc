// SPDX-License-Identifier: BSD-3-Clause
// A service in C++: answers each line on std::cin with its number and the line, on std::cout.
#include <cstring>
#include <iostream>
#include <string>

int main(int argc, char **argv)
{
    std::string line;
    int number = 0;

    if (argc > 1 && std::strcmp(argv[1], "fast") == 0)
        std::ios_base::sync_with_stdio(false);
    while (std::getline(std::cin, line)) {
        std::cout << ++number << ' ' << line << std::endl;
        if (line == "large")
            std::cout << std::string(1 << 20, 'c') << "end\n" << std::flush;
    }
    std::clog << number << " lines\n";
    return 0;
}
