// rusty.rs: Rust frames and names. Two functions allocate vectors of known sizes and keep them; one is a method of a
// generic type, so that the mangled name holds a type argument. Prints the truth in the form of truth.h.
mod outer {
    pub struct Holder<T> {
        pub data: Vec<T>,
    }

    impl<T: Clone + Default> Holder<T> {
        #[inline(never)]
        pub fn case_generic_method(count: usize) -> Holder<T> {
            Holder { data: Vec::with_capacity(count) }
        }
    }

    #[inline(never)]
    pub fn case_plain_function(bytes: usize) -> Vec<u8> {
        Vec::with_capacity(bytes)
    }
}

fn main() {
    let plain = outer::case_plain_function(70_007);
    let generic = outer::Holder::<u32>::case_generic_method(5_005);
    println!(
        "{{\"case_plain_function\":{{\"allocations\":1,\"bytes\":{},\"frees\":0,\"live\":1,\"live_bytes\":{}}},\
         \"case_generic_method\":{{\"allocations\":1,\"bytes\":{},\"frees\":0,\"live\":1,\"live_bytes\":{}}}}}",
        plain.capacity(),
        plain.capacity(),
        generic.data.capacity() * 4,
        generic.data.capacity() * 4
    );
    std::mem::forget(plain);
    std::mem::forget(generic);
}
