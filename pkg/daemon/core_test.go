package daemon

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/config"
	"github.com/postmoat/postmoat/pkg/cover"
	"github.com/postmoat/postmoat/pkg/engine"
	"github.com/postmoat/postmoat/pkg/firewall"
	held "github.com/postmoat/postmoat/pkg/firewall/memory"
	"github.com/postmoat/postmoat/pkg/ledger"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/score"
	"github.com/postmoat/postmoat/pkg/source"
)

const t0 = 1_800_000_000

// lone is a core without a loop, whose clock is at t0.
func lone(t *testing.T) *core {
	t.Helper()
	b, err := held.New(firewall.Options{Ports: config.Default().Doors})
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(Options{Backend: b, State: t.TempDir(), Now: func() time.Time { return time.Unix(t0, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	if d.ledger, err = ledger.Open(d.o.State, ledger.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.ledger.Close() })
	d.setCollector(allow.New(allow.Options{}))
	rungs := cover.Options{Price: 128, Rungs: []cover.Rung{{Bits: 24, Need: 3}}}
	d.core.engine = engine.New(engine.Options{
		Windows: []score.Window{{Name: "burst", Span: 600, Limit: 10}}, Clients: 100,
		Ban: ban.Options{Time: 3600, Max: 7200, Cover4: rungs, Cover6: cover.Options{Price: 4096, Rungs: []cover.Rung{{Bits: 56, Need: 3}}}},
	})
	d.core.engine.Start(t0)
	return d.core
}

// TestCounted tells a ban of 3,600 s, whose last quarter begins at 2,700, of
// what the firewall counted.
func TestCounted(t *testing.T) {
	c := lone(t)
	p := netip.MustParsePrefix("203.0.113.5/32")
	if _, err := c.engine.Ban(p, t0+3600, ""); err != nil {
		t.Fatal(err)
	}
	b := c.engine.Running(p, maillog.SMTP)
	r := &reader{last: make(map[firewall.Key]reading)}
	for _, x := range []struct {
		name       string
		asked, now int64
		counter    firewall.Counter
		knocks     uint64
		last       int64
	}{
		{"the first", 10, 12, firewall.Counter{Present: true, Packets: 5}, 5, 12},
		{"over the beginning of the quarter", 2690, 2702, firewall.Counter{Present: true, Packets: 9}, 9, 2699},
		{"since one asked for before the quarter", 2710, 2712, firewall.Counter{Present: true, Packets: 10}, 10, 2699},
		{"nothing", 2715, 2717, firewall.Counter{Present: true, Packets: 10}, 10, 2699},
		{"inside the quarter", 2725, 2727, firewall.Counter{Present: true, Packets: 13}, 13, 2727},
		{"from zero after a refresh", 2740, 2742, firewall.Counter{Present: true, Packets: 2}, 15, 2742},
		{"gone", 2755, 2757, firewall.Counter{}, 15, 2742},
		{"put back, when is not known", 2770, 2772, firewall.Counter{Present: true, Packets: 4}, 19, 2742},
	} {
		c.engine.Tick(t0 + x.now)
		c.counted(r, t0+x.asked, []ban.Entry{b.Entry()}, []firewall.Counter{x.counter})
		if b.Knocks != x.knocks || b.LastKnock != t0+x.last || c.count.packets != x.knocks {
			t.Errorf("%s: %d knocks (%d counted), the last at %d; want %d, %d", x.name, b.Knocks, c.count.packets, b.LastKnock-t0, x.knocks, x.last)
		}
	}
}

// TestCountedAfterRestart holds that packets of which the process before has
// told are not told of again.
func TestCountedAfterRestart(t *testing.T) {
	c := lone(t)
	p := netip.MustParsePrefix("203.0.113.5/32")
	if _, err := c.engine.Ban(p, t0+3600, ""); err != nil {
		t.Fatal(err)
	}
	b := c.engine.Running(p, maillog.SMTP)
	c.d.started = time.Unix(t0+100, 0)
	r := &reader{last: make(map[firewall.Key]reading)}
	for i, want := range []uint64{0, 3} {
		c.engine.Tick(t0 + 110 + int64(i))
		c.counted(r, t0+110+int64(i), []ban.Entry{b.Entry()}, []firewall.Counter{{Present: true, Packets: 50 + 3*uint64(i)}})
		if b.Knocks != want {
			t.Errorf("reading %d: %d knocks, want %d", i, b.Knocks, want)
		}
	}
}

// TestNothingSavedWhileOwing holds that no snapshot takes the place of records
// that are still to be done again.
func TestNothingSavedWhileOwing(t *testing.T) {
	c := lone(t)
	c.phase = catching
	snapshots := func() int {
		files, err := filepath.Glob(filepath.Join(c.d.o.State, "snapshot.*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	c.replay = []record{{Clock: t0, Unban: &unbanRecord{}}}
	now := time.Unix(t0, 0)
	c.save(now)
	c.d.running.Wait()
	c.lastSave(now)
	if n := snapshots(); n != 0 {
		t.Errorf("%d snapshots while a record waits", n)
	}
	c.replay = nil
	c.lastSave(now)
	if n := snapshots(); n != 1 || c.saved.Error != "" {
		t.Errorf("%d snapshots in the end, %q", n, c.saved.Error)
	}
}

// TestPauseWhileCatchingUp holds that a pause of before a restart does not come
// back over what was said since.
func TestPauseWhileCatchingUp(t *testing.T) {
	c := lone(t)
	c.list = c.d.collector().List()
	c.replay = []record{{Clock: t0, Pause: &pauseRecord{"before"}}, {Clock: t0, Unban: &unbanRecord{}}}
	c.pause("")
	for _, r := range c.replay {
		c.redo(r)
	}
	if c.paused != "" || len(c.replay) != 1 {
		t.Errorf("paused by %q, %d records left", c.paused, len(c.replay))
	}
}

// TestFeedsOfNewSources holds that no two sources get one number.
func TestFeedsOfNewSources(t *testing.T) {
	known := []sourceState{{Key: "a", Number: 4, Place: source.Position{Seq: 9}}, {Key: "gone", Number: 7}}
	var got []uint32
	for _, f := range newFeeds([]Source{{Key: "b"}, {Key: "a"}, {Key: "c"}}, time.Unix(t0, 0)) {
		known = f.take(known)
		got = append(got, f.number)
		if f.Key == "a" && f.seq != 9 {
			t.Errorf("a goes on behind %d", f.seq)
		}
	}
	if want := []uint32{8, 4, 9}; !slices.Equal(got, want) {
		t.Errorf("numbers %v, want %v", got, want)
	}
}

// TestLineOfGoneSource holds that what a source still hands over after a reload
// took it out is not fed: its place is known already.
func TestLineOfGoneSource(t *testing.T) {
	c := lone(t)
	f := &feed{Source: Source{Key: "a"}, gone: true}
	var before, after bytes.Buffer
	if err := c.engine.Encode(&before); err != nil {
		t.Fatal(err)
	}
	c.feed(&line{feed: f, seq: 1, read: time.Unix(t0, 0)}, []byte("2027-01-15T08:00:01Z mx postfix/smtpd[7]: connect from unknown[203.0.113.5]"))
	if err := c.engine.Encode(&after); err != nil {
		t.Fatal(err)
	}
	if c.count.lines != 0 || f.seq != 0 || !bytes.Equal(before.Bytes(), after.Bytes()) {
		t.Error("it was fed")
	}
}

// TestAlarmOnce holds that an alarm is told of once when it comes and once when
// it goes, and that one does not come again because another goes.
func TestAlarmOnce(t *testing.T) {
	c := lone(t)
	c.phase = running
	at := time.Unix(t0, 0)
	missing := source.Alarm{Kind: source.Missing, Text: "not there", At: at}
	gap := source.Alarm{Kind: source.Gap, Text: "lost", At: at}
	s := &told{}
	f := &feed{Source: Source{Key: "a", New: func(source.Start) source.Source { return s }}}
	f.open()
	c.feeds = []*feed{f}
	c.list = c.d.collector().List()
	ch := c.d.Subscribe(t.Context())
	for _, x := range []struct {
		alarms []source.Alarm
		want   []string
	}{
		{[]source.Alarm{missing, gap}, []string{"alarm gap", "alarm missing"}},
		{[]source.Alarm{missing, gap}, nil},
		{[]source.Alarm{gap}, []string{"clear missing"}},
		{[]source.Alarm{gap}, nil},
		{nil, []string{"clear gap"}},
	} {
		s.alarms = x.alarms
		c.watch(at)
		var got []string
		for len(ch) > 0 {
			if ev := <-ch; ev.Kind == "gap" || ev.Kind == "missing" {
				got = append(got, ev.Type+" "+ev.Kind)
			}
		}
		if slices.Sort(got); !slices.Equal(got, x.want) {
			t.Errorf("alarms %v: told %v, want %v", x.alarms, got, x.want)
		}
	}
}

// A told source has the alarms it is given.
type told struct {
	source.Source
	alarms []source.Alarm
}

func (s *told) Status() source.Status {
	return source.Status{State: source.Following, Alarms: s.alarms}
}

// A host that is banned at both doors is two bans of one host.
func TestSizes(t *testing.T) {
	held := func(prefix string, door maillog.Door) *ban.Ban {
		return &ban.Ban{Prefix: netip.MustParsePrefix(prefix), Door: door}
	}
	all, hosts, networks := sizes(slices.Values([]*ban.Ban{
		held("192.0.2.0/24", maillog.SMTP), held("203.0.113.5/32", maillog.SMTP), held("2001:db8::/64", maillog.SMTP),
		held("192.0.2.0/24", maillog.Login), held("198.51.100.0/24", maillog.Login), held("203.0.113.5/32", maillog.Login), held("203.0.113.6/32", maillog.Login),
	}))
	if all != 7 || hosts != 3 || networks != 2 {
		t.Errorf("%d bans, %d hosts, %d networks, want 7, 3 and 2", all, hosts, networks)
	}
}

// More additions than the journal takes in one record (each of more than 1,200
// bytes) are written down and read back.
func TestManyAdditions(t *testing.T) {
	c := lone(t)
	k := c.d.collector()
	const n = 1300
	for i := range n {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{203, byte(i >> 8), byte(i), 1}), 32)
		if _, err := k.Add(allow.Addition{Prefix: p, Persist: true, Because: strings.Repeat("<", 200)}); err != nil {
			t.Fatal(err)
		}
	}
	c.noteAllow()
	if err := c.d.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	again := lone(t)
	again.list = again.d.collector().List()
	l, err := ledger.Open(c.d.o.State, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = l.Recover(
		func(io.Reader) error { return errors.New("there is no snapshot") },
		func(text []byte) error { return again.read(t.Context(), text) })
	if err != nil {
		t.Fatal(err)
	}
	if got := again.d.collector().State().Additions; len(got) != n || got[n-1].Because != strings.Repeat("<", 200) {
		t.Errorf("%d additions came back, want %d", len(got), n)
	}
}

// A clock that is set back is an alarm until it has caught up.
func TestClockSetBack(t *testing.T) {
	c := lone(t)
	c.list = c.d.collector().List()
	for _, x := range []struct {
		off  int64
		want bool
	}{{0, false}, {-60, false}, {-3600, true}, {-61, true}, {-30, false}} {
		c.watch(time.Unix(t0+x.off, 0))
		if _, got := c.alarms[alarmKey{"skew", "host"}]; got != x.want {
			t.Errorf("%d s: alarm %t, want %t", x.off, got, x.want)
		}
	}
}
