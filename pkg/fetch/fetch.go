// Package fetch asks the processor for memory that is needed soon, without
// waiting for it. What is known of a client lies wherever its address hashes
// to, and the log that streams by drives it out of the caches: to wait for it
// takes as long as to read a line. Asking changes nothing and never fails,
// whatever the pointer is; where it is not known to help it does nothing.
package fetch

import "unsafe"

// Text asks for the cache line in which b begins.
func Text(b []byte) {
	if len(b) > 0 {
		Line(unsafe.Pointer(unsafe.SliceData(b)))
	}
}
