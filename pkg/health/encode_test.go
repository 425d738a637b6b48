package health

import (
	"encoding/json"
	"reflect"
	"testing"
)

// TestEncode: half-way through, each tracker can be written down and goes on
// from there.
func TestEncode(t *testing.T) {
	type all struct {
		Quiet      Quiet
		Understood Understood
		Skew       Skew
		Crowd      Crowd
		Rate       Rate
	}
	feed := func(a *all, from, to int64) {
		for i := from; i < to; i++ {
			a.Quiet.Line(i * 40)
			a.Understood.Add(9, 1)
			a.Skew.Line(i, i+3600)
			a.Crowd.Add(gateway)
			a.Crowd.Add(client(int(i)))
			a.Crowd.Add(gateway)
			a.Rate.Add(i, 3)
		}
	}
	var whole, half, rest all
	feed(&whole, 0, 700)
	feed(&half, 0, 333)
	b, err := json.Marshal(half)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &rest); err != nil {
		t.Fatal(err)
	}
	feed(&rest, 333, 700)
	if !reflect.DeepEqual(whole, rest) {
		t.Errorf("in one go: %+v\nin two: %+v", whole, rest)
	}
	if _, _, ok := rest.Crowd.Alarm(); !ok {
		t.Error("two connections in three are from the gateway, and no alarm")
	}
}
