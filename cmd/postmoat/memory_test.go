package main

import "testing"

// TestGarbage holds the measure at its ends and in between: 12 MB, but at least
// 12 % and at most as much as is alive.
func TestGarbage(t *testing.T) {
	for _, x := range []struct {
		alive uint64
		want  int
	}{
		{0, 100}, {1 << 20, 100}, {12 << 20, 100}, {24 << 20, 50}, {48 << 20, 25}, {100 << 20, 12}, {1 << 30, 12},
	} {
		if got := garbage(x.alive); got != x.want {
			t.Errorf("%d bytes alive: %d %%, want %d", x.alive, got, x.want)
		}
	}
}

// TestTunedByHand holds that an operator's own measure is left alone.
func TestTunedByHand(t *testing.T) {
	for _, x := range []struct {
		gogc, limit string
		want        bool
	}{{"", "", false}, {"100", "", true}, {"", "200MiB", true}} {
		for k, v := range map[string]string{"GOGC": x.gogc, "GOMEMLIMIT": x.limit} {
			t.Setenv(k, v)
		}
		if got := tunedByHand(); got != x.want {
			t.Errorf("%+v: %v", x, got)
		}
	}
}
