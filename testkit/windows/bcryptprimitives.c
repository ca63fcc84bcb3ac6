/* Stands in for a library that Wine 8 lacks and Rust's standard library needs: one function, the system's randomness.
 * For tests under Wine only; never shipped. */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size) {
    return RtlGenRandom(data, (ULONG)size);
}
