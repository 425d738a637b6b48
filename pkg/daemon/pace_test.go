package daemon

import (
	"net/netip"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/source"
)

// A source that hangs does not keep bans for ever: after five minutes of ticks
// the clock goes on without it, with an alarm; when it looks again that is over.
func TestHangingSource(t *testing.T) {
	c := lone(t)
	c.phase, c.list = running, c.d.collector().List()
	c.saving = make(chan struct{}) // for ever: there is no loop that would hear of its end
	c.toldAll()
	now := time.Unix(t0, 0)
	c.d.o.Now = func() time.Time { return now }
	src := &looker{status: source.Status{State: source.Following, Looked: now}}
	f := &feed{Source: Source{Key: "file:log"}}
	var s source.Source = src
	f.src.Store(&s)
	c.feeds = append(c.feeds, f)
	if _, err := c.engine.Ban(netip.MustParsePrefix("203.0.113.5/32"), t0+60, ""); err != nil {
		t.Fatal(err)
	}
	alarm := alarmKey{string(source.Unreadable), f.Key}
	pass := func(n int) {
		for range n {
			now = now.Add(time.Second)
			c.tick(t.Context())
		}
	}
	pass(hanging) // the first tick sees it move
	if _, ok := c.alarms[alarm]; ok || c.engine.Len() != 1 {
		t.Fatalf("%d bans after %v, alarms %v; want it waited for", c.engine.Len(), now.Sub(time.Unix(t0, 0)), c.alarms)
	}
	pass(1)
	if _, ok := c.alarms[alarm]; !ok || c.engine.Len() != 0 {
		t.Fatalf("%d bans after %v, alarms %v; want the clock to go on, and an alarm", c.engine.Len(), now.Sub(time.Unix(t0, 0)), c.alarms)
	}
	src.status.Looked = now
	pass(1)
	if _, ok := c.alarms[alarm]; ok {
		t.Errorf("it looks again, and %v", c.alarms)
	}
}

// What reads on, however long that takes it, does not hang; nor does one that
// does not say when it looked, or says what is wrong with it.
func TestPace(t *testing.T) {
	looked := time.Unix(t0, 0)
	for _, x := range []struct {
		name  string
		next  func(i int) (seq uint64, st source.Status)
		hangs bool
	}{
		{"still", func(int) (uint64, source.Status) {
			return 7, source.Status{State: source.Following, Looked: looked, Lag: 5}
		}, true},
		{"still, catching up", func(int) (uint64, source.Status) {
			return 7, source.Status{State: source.CatchingUp, Looked: looked, Lag: 5}
		}, true},
		{"lines come", func(i int) (uint64, source.Status) {
			return uint64(i), source.Status{State: source.CatchingUp, Looked: looked, Lag: 5}
		}, false},
		{"it reads what is no line", func(i int) (uint64, source.Status) {
			return 7, source.Status{State: source.CatchingUp, Looked: looked, Lag: int64(1e9 - i)}
		}, false},
		{"nothing new", func(i int) (uint64, source.Status) {
			return 7, source.Status{State: source.Following, Looked: looked.Add(time.Duration(i) * time.Second)}
		}, false},
		{"the journal", func(int) (uint64, source.Status) { return 7, source.Status{State: source.Following, Lag: -1} }, false},
		{"no permission", func(int) (uint64, source.Status) {
			return 7, source.Status{State: source.NoPermission, Looked: looked}
		}, false},
	} {
		var p pace
		for i := range 2 * hanging {
			p.tick(x.next(i))
		}
		if p.hangs() != x.hangs {
			t.Errorf("%s: hangs %v, want %v", x.name, p.hangs(), x.hangs)
		}
	}
}
