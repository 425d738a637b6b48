package score

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// TestVolumeTwin compares the buckets with a map of them.
func TestVolumeTwin(t *testing.T) {
	late, forgotten := 0, 0
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 3))
		keep := int64(r.IntN(20000))
		now := int64(r.IntN(40000))
		var v volume
		twin := map[uint32]uint32{}
		forget := func() {
			before := len(twin)
			maps.DeleteFunc(twin, func(at, _ uint32) bool { return (int64(at)+1)*volumeBucket <= max(now-keep, 0)/3600*3600 })
			forgotten += before - len(twin)
		}
		for step := range 300 {
			if r.IntN(3) == 0 {
				now += r.Int64N(1800)
			}
			at := now - r.Int64N(100)
			if r.IntN(6) == 0 {
				at = now - r.Int64N(30000)
				late++
			}
			b := clampTime(at) / volumeBucket
			if forget(); r.IntN(20) == 0 {
				v.forget(cutAt(now, keep))
			} else {
				n := 1 + r.IntN(4)
				if r.IntN(50) == 0 {
					n = 1 << 31
				}
				v.add(b, n, cutAt(now, keep))
				twin[b] = uint32(min(int64(twin[b])+int64(n), 1<<31))
			}
			var got []bucket
			for i := range v.len() {
				got = append(got, v.bucket(i))
			}
			var want []bucket
			for _, at := range slices.Sorted(maps.Keys(twin)) {
				want = append(want, bucket{at, twin[at]})
			}
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d, step %d: %v, want %v", seed, step, got, want)
			}
		}
	}
	if late < 1000 || forgotten < 1000 {
		t.Errorf("%d late, %d forgotten: the test asks for too little", late, forgotten)
	}
}

// A record is one line of the processor's cache.
func TestRecordSize(t *testing.T) {
	if got := reflect.TypeFor[record]().Size(); got != 64 {
		t.Errorf("a record takes %d bytes, want 64", got)
	}
}
