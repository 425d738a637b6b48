package daemon

import (
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/source"
)

// A looker is a source that does as well as it is told.
type looker struct {
	source.Source
	status source.Status
}

func (s looker) Status() source.Status { return s.status }

// TestLevel: the clock goes on without lines as far as every source that can be
// read has been looked at, and no further, however late it is.
func TestLevel(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(t0+s, 0) }
	for _, c := range []struct {
		name    string
		sources []source.Status
		to      int64
		ok      bool
	}{
		{"no source", nil, 100, true},
		{"looked at just now", []source.Status{{State: source.Following, Looked: at(100)}}, 100, true},
		{"looked at before the process stood still", []source.Status{{State: source.Following, Looked: at(40)}}, 40, true},
		{"the oldest look counts", []source.Status{{State: source.Following, Looked: at(99)}, {State: source.Following, Looked: at(98)}}, 98, true},
		{"a clock that was set back", []source.Status{{State: source.Following, Looked: at(500)}}, 100, true},
		{"half a line", []source.Status{{State: source.Following, Looked: at(100), Lag: 9}}, 100, true},
		{"catching up", []source.Status{{State: source.CatchingUp, Looked: at(7), Lag: 1 << 20}}, 7, true},
		{"never looked at", []source.Status{{State: source.Following}}, 100, false},
		{"no file", []source.Status{{State: source.Waiting, Looked: at(40)}}, 100, true},
		{"the journal", []source.Status{{State: source.Following, Lag: -1}}, 100, true},
	} {
		core := lone(t)
		for _, st := range c.sources {
			f := &feed{}
			var src source.Source = looker{status: st}
			f.src.Store(&src)
			core.feeds = append(core.feeds, f)
		}
		if to, ok := core.level(at(100)); ok != c.ok || ok && !to.Equal(at(c.to)) {
			t.Errorf("%s: to %v, %v; want %v, %v", c.name, to, ok, at(c.to), c.ok)
		}
	}
	core := lone(t)
	core.d.in.put(&feed{}, source.Line{Text: []byte("x")}, at(0))
	if _, ok := core.level(at(100)); ok {
		t.Error("level, and a line waits")
	}
}
