// A Rust program for the symbolizer's tests: traits, generics, closures, collections. It is resolved, never run.
use std::collections::HashMap;

trait Shape {
    fn area(&self) -> f64;
}
struct Square(f64);
struct Circle(f64);
impl Shape for Square {
    #[inline(never)]
    fn area(&self) -> f64 {
        self.0 * self.0
    }
}
impl Shape for Circle {
    #[inline(never)]
    fn area(&self) -> f64 {
        3.14159 * self.0 * self.0
    }
}

#[inline(always)]
fn doubled<T: Into<f64>>(value: T) -> f64 {
    value.into() * 2.0
}

#[inline(never)]
fn gather(count: usize) -> HashMap<String, Vec<usize>> {
    let mut groups: HashMap<String, Vec<usize>> = HashMap::new();
    for i in 0..count {
        groups.entry(format!("k{}", i % 7)).or_default().push(i);
    }
    groups
}

fn main() {
    let count = std::env::args().count();
    let shapes: Vec<Box<dyn Shape>> = vec![
        Box::new(Square(doubled(count as f32))),
        Box::new(Circle(doubled(count as u32))),
    ];
    let total: f64 = shapes.iter().map(|shape| shape.area()).sum();
    let mut groups: Vec<_> = gather(count * 10).into_iter().collect();
    groups.sort_by(|a, b| a.0.cmp(&b.0));
    println!("{} {:?}", total, groups);
}
