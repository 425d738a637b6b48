package rule

import (
	"testing"

	"github.com/postmoat/postmoat/pkg/maillog"
)

// TestNumbersIn: each number is asked for by its own bit and by no other.
func TestNumbersIn(t *testing.T) {
	events := []maillog.Event{
		{},
		{Code: 550},
		{Port: 25},
		{AuthFailed: 1},
		{Commands: maillog.Commands{Unknown: maillog.Tally{OK: 1, Total: 3}}},
		{Commands: maillog.Commands{Unknown: maillog.Tally{OK: 2, Total: 2}}},
		{Code: 450, Port: 4711, AuthFailed: 2},
	}
	seen := map[field]bool{}
	for i := range events {
		ev := &events[i]
		for f := fieldCode; f < fieldClient; f++ {
			want := number(ev, f) != 0
			if got := numberBit(f).in(ev); got != want {
				t.Errorf("event %d, %s: %v, want %v", i, fieldNames[f], got, want)
			}
			if want {
				seen[f] = true
			}
		}
	}
	for f := fieldCode; f < fieldClient; f++ {
		if !seen[f] {
			t.Errorf("no event has %s", fieldNames[f])
		}
	}
}
