package cover

import "slices"

// Sort4 sorts keys of IPv4 in place, without memory of its own.
func Sort4(keys []uint32) { sortKeys(keys, 24) }

// Sort6 sorts keys of IPv6 in place, without memory of its own.
func Sort6(keys []uint64) { sortKeys(keys, 56) }

const (
	fewKeys  = 96   // below, a comparison sort is faster
	someKeys = 4096 // up to here a copy fits on the stack and into the first cache
)

// sortKeys sorts by the byte at shift and those below it: many keys by putting
// them into their buckets in place (McIlroy, Bostic and McIlroy, "Engineering
// Radix Sort", 1993), then each bucket by its lower bytes.
func sortKeys[K Key](keys []K, shift int) {
	switch {
	case len(keys) <= fewKeys:
		slices.Sort(keys)
		return
	case len(keys) <= someKeys:
		sortSome(keys, shift)
		return
	}
	var start, end [256]int
	for _, k := range keys {
		end[byte(k>>shift)]++
	}
	sum := 0
	for b := range end {
		start[b] = sum
		sum += end[b]
		end[b] = sum
	}
	bounds := end
	for b := range start {
		for start[b] < end[b] {
			k := keys[start[b]]
			for c := byte(k >> shift); int(c) != b; c = byte(k >> shift) {
				k, keys[start[c]] = keys[start[c]], k
				start[c]++
			}
			keys[start[b]] = k
			start[b]++
		}
	}
	if shift == 0 {
		return
	}
	from := 0
	for _, to := range bounds {
		sortKeys(keys[from:to], shift-8)
		from = to
	}
}

// sortSome sorts at most someKeys keys, from the lowest byte up to that at
// shift, to and fro between two places.
func sortSome[K Key](keys []K, shift int) {
	var copied [someKeys]K
	from, to := keys, copied[:len(keys)]
	for at := 0; at <= shift; at += 8 {
		var next [256]uint16
		for _, k := range from {
			next[byte(k>>at)]++
		}
		if int(next[byte(from[0]>>at)]) == len(from) {
			continue // all have the same byte
		}
		sum := uint16(0)
		for b, n := range next {
			next[b] = sum
			sum += n
		}
		for _, k := range from {
			b := byte(k >> at)
			to[next[b]] = k
			next[b]++
		}
		from, to = to, from
	}
	if &from[0] != &keys[0] {
		copy(keys, from)
	}
}
