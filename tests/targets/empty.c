/* empty.c: does nothing. A trace of it must not hold a single allocation made by it, or by the agent. */
int main(void)
{
    return 0;
}
