/* Code in a header: its lines belong to this file. */
static inline int from_header(int value)
{
    volatile int sum = 0;
    for (int i = 0; i < value; i++) {
        sum += i ^ value;
    }
    return sum;
}
