// A C++ program for the symbolizer's tests: templates, inlines of inlines, lambdas, virtual calls, namespaces, the standard
// library. It is resolved, never run.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

namespace shapes {
struct Shape {
    virtual ~Shape() = default;
    virtual double area() const = 0;
};
template <class T> struct Box : Shape {
    T width, height;
    Box(T w, T h) : width(w), height(h) {}
    double area() const override { return static_cast<double>(width) * static_cast<double>(height); }
};
struct Circle : Shape {
    double radius;
    explicit Circle(double r) : radius(r) {}
    double area() const override { return 3.14159 * radius * radius; }
    Circle &operator+=(const Circle &other)
    {
        radius += other.radius;
        return *this;
    }
};
inline int outer_step(int value)
{
    volatile int hidden = value;
    return hidden * 7;
}
template <class T> inline T both_steps(T value)
{
    return static_cast<T>(outer_step(static_cast<int>(value)) + outer_step(static_cast<int>(value) + 1));
}
__attribute__((noinline)) static int quiet_leaf(int value)
{
    volatile int hidden = value;
    return hidden - 5;
}
namespace {
__attribute__((noinline)) int anonymous_leaf(int value)
{
    return both_steps(value) + quiet_leaf(value);
}
} // namespace
} // namespace shapes

__attribute__((noinline)) double total(const std::vector<std::unique_ptr<shapes::Shape>> &list)
{
    return std::accumulate(list.begin(), list.end(), 0.0,
                           [](double sum, const std::unique_ptr<shapes::Shape> &item) { return sum + item->area(); });
}

int main(int argc, char **argv)
{
    std::vector<std::unique_ptr<shapes::Shape>> list;
    std::map<std::string, int> seen;
    for (int i = 0; i < argc; i++) {
        list.push_back(std::make_unique<shapes::Box<int>>(i, argc));
        list.push_back(std::make_unique<shapes::Box<float>>(1.0f, static_cast<float>(argc)));
        list.push_back(std::make_unique<shapes::Circle>(i));
        seen[argv[i]] += shapes::anonymous_leaf(i);
    }
    std::vector<std::string> names;
    for (const auto &entry : seen) {
        names.push_back(entry.first + ":" + std::to_string(shapes::both_steps(entry.second)));
    }
    std::sort(names.begin(), names.end(), [&](const std::string &a, const std::string &b) {
        return a.size() + static_cast<size_t>(shapes::both_steps(argc)) < b.size();
    });
    std::function<int(int)> twice = [argc](int value) { return value * 2 + argc; };
    shapes::Circle sum(1.0);
    sum += shapes::Circle(twice(argc));
    std::printf("%f %s %f\n", total(list), names.empty() ? "" : names[0].c_str(), sum.area());
    return shapes::anonymous_leaf(argc);
}
