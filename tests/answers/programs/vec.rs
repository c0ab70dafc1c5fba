//! A server's log of frames, held in a Vec for the life of the program.

use std::sync::Mutex;

static FRAMES: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

fn decode(number: usize) -> Vec<u8> {
    (0..200).map(|byte| (number + byte) as u8).collect()
}

fn receive(number: usize) -> usize {
    let frame = decode(number);
    let length = frame.len();
    FRAMES.lock().unwrap().push(frame.repeat(20)); // the leak
    length
}

fn main() {
    let total: usize = (0..2000).map(receive).sum();
    println!("{}", total);
}
