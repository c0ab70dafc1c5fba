// map.cpp: a table of sessions that are opened and never closed.
#include <cstdio>
#include <map>
#include <string>
#include <vector>

struct session {
    std::string user;
    std::vector<int> pages;
};

class table {
public:
    void open(int number)
    {
        session fresh{ "user " + std::to_string(number) + std::string(200, '.'), {} };
        fresh.pages.resize(300, number);
        sessions_.emplace(number, fresh); // the leak
    }
    size_t size() const { return sessions_.size(); }

private:
    std::map<int, session> sessions_;
};

int main()
{
    static table *sessions = new table;
    for (int number = 0; number < 5000; number++) {
        sessions->open(number);
    }
    std::printf("%zu\n", sessions->size());
}
