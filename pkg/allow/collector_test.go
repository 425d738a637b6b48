package allow

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/prefix"
)

func TestWhatIsAlwaysThere(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Networks = []Network{{netip.MustParsePrefix("192.0.2.0/24"), "postmoat.yaml:12"}, {netip.Prefix{}, "postmoat.yaml:13"}}
	o.Private = true
	l := w.collect(New(o))
	expect(t, "entries", lines(l), "192.0.2.0/24 config postmoat.yaml:12")
	expectOne(t, l, Alarm, "postmoat.yaml:13")
	for _, s := range []string{"127.0.0.1", "::1", "169.254.1.1", "fe80::1", "224.0.0.1", "ff02::1", "0.0.0.0", "::", "255.255.255.255", "10.1.2.3", "192.168.0.1", "172.16.0.1", "100.64.0.1", "fd00::1"} {
		if l.Lookup(netip.MustParseAddr(s)) == nil {
			t.Errorf("%s may be banned", s)
		}
	}
	l = New(w.options()).List()
	for _, s := range []string{"10.1.2.3", "fd00::1"} {
		if l.Lookup(netip.MustParseAddr(s)) != nil {
			t.Errorf("%s is on the list without private ranges", s)
		}
	}
}

func TestNothingIsBannedBeforeTheFirstLook(t *testing.T) {
	w := newWorld(t)
	c := New(w.options())
	expectOne(t, c.List(), BanNothing, "not read yet")
	if c.Next().After(w.now) || c.Next().IsZero() {
		t.Fatalf("the first look is due %v", c.Next())
	}
	l, changed, err := c.Refresh(context.Background())
	if err != nil || !changed || len(l.Problems()) != 0 || l.Serial() <= 1 {
		t.Fatal(problems(l), changed, err)
	}
	if !c.Next().IsZero() {
		t.Fatalf("nothing can change, but the next look is due %v", c.Next())
	}
	if again, changed, err := c.Refresh(context.Background()); again != l || changed || err != nil {
		t.Fatal("another list", changed, err)
	}
}

func TestClockThatIsSetBack(t *testing.T) {
	w := newWorld(t)
	w.dns.set("ip4 mx.partner.example", "198.51.100.1")
	c := nameCollector(w, "mx.partner.example")
	w.collect(c)
	w.pass(-24 * time.Hour)
	w.refresh(c)
	if n := w.dns.times("ip4 mx.partner.example"); n != 2 {
		t.Fatalf("asked %d times", n)
	}
	if c.Next().Sub(w.now) > time.Hour {
		t.Fatalf("next look %v", c.Next())
	}
}

func TestAdditions(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Networks = []Network{{netip.MustParsePrefix("198.51.100.0/24"), "postmoat.yaml:12"}}
	c := New(o)
	first := w.collect(c)
	p := netip.MustParsePrefix("192.0.2.0/24")
	l, err := c.Add(Addition{Prefix: p, Until: w.now.Unix() + 3600, Because: "the customer called"})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "added", lines(l), "192.0.2.0/24 operator operator: the customer called", "198.51.100.0/24 config postmoat.yaml:12")
	if l.Serial() <= first.Serial() || c.List() != l || !c.Next().Equal(w.now.Add(time.Hour)) {
		t.Fatalf("serial %d after %d, next %v", l.Serial(), first.Serial(), c.Next())
	}
	if e := l.Lookup(netip.MustParseAddr("192.0.2.9")); len(e) != 1 || e[0].Until != w.now.Unix()+3600 {
		t.Fatal(e)
	}
	w.pass(time.Hour - time.Second)
	if got := len(lines(w.refresh(c))); got != 2 {
		t.Fatalf("%d entries a second before the end", got)
	}
	w.pass(time.Second)
	l, changed, _ := c.Refresh(context.Background())
	if !changed {
		t.Fatal("the end was not noticed")
	}
	expect(t, "at the end", lines(l), "198.51.100.0/24 config postmoat.yaml:12")

	for range 2 { // the second takes the place of the first
		if l, err = c.Add(Addition{Prefix: p}); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "again", lines(l), "192.0.2.0/24 operator operator", "198.51.100.0/24 config postmoat.yaml:12")
	if l, err = c.Remove(p); err != nil || len(lines(l)) != 1 {
		t.Fatal(lines(l), err)
	}
	_, err = c.Remove(p)
	if err == nil || err.Error() != "192.0.2.0/24 is not on the allowlist" {
		t.Fatal(err)
	}
	_, err = c.Remove(netip.MustParsePrefix("198.51.100.7/32"))
	if err == nil || !strings.Contains(err.Error(), "198.51.100.0/24 from postmoat.yaml:12") {
		t.Fatal(err)
	}
}

func TestBadAdditions(t *testing.T) {
	w := newWorld(t)
	c := New(w.options())
	p := netip.MustParsePrefix("192.0.2.0/24")
	for _, x := range []struct {
		a    Addition
		says string
	}{
		{Addition{}, "not a valid prefix"},
		{Addition{Prefix: netip.MustParsePrefix("192.0.2.7/24")}, "write 192.0.2.0/24"},
		{Addition{Prefix: netip.MustParsePrefix("::ffff:192.0.2.0/120")}, "write 192.0.2.0/24"},
		{Addition{Prefix: p, Until: w.now.Unix()}, "has passed"},
		{Addition{Prefix: p, Until: -1}, "before all time"},
		{Addition{Prefix: p, Because: "a\nb"}, "control characters"},
		{Addition{Prefix: p, Because: strings.Repeat("a", 201)}, "longer than 200"},
	} {
		if _, err := c.Add(x.a); err == nil || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%+v: %v", x.a, err)
		}
	}
	for i := range maxAdditions {
		c.added = append(c.added, Addition{Prefix: prefix.Host(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}))})
	}
	if _, err := c.Add(Addition{Prefix: p}); err == nil || !strings.Contains(err.Error(), "4096 additions already") {
		t.Error(err)
	}
}

func TestSetAdditions(t *testing.T) {
	w := newWorld(t)
	c := New(w.options())
	w.collect(c)
	now := w.now.Unix()
	of := func(s, because string, until int64) Addition {
		return Addition{Prefix: netip.MustParsePrefix(s), Because: because, Until: until}
	}
	if _, err := c.Add(of("198.51.100.0/24", "taken back", 0)); err != nil {
		t.Fatal(err)
	}
	err := c.SetAdditions([]Addition{
		of("203.0.113.0/24", "old", now+60), of("192.0.2.0/24", "stays", 0),
		of("192.0.2.9/32", "over", now), of("203.0.113.0/24", "new", now+3600),
	})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "set", lines(c.List()), "192.0.2.0/24 operator operator: stays", "203.0.113.0/24 operator operator: new")
	if got := c.State().Additions; len(got) != 2 || got[1].Until != now+3600 {
		t.Errorf("%+v", got)
	}
	many := make([]Addition, maxAdditions+1)
	for i := range many {
		many[i].Prefix = prefix.Host(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}))
	}
	if err := c.SetAdditions(many); err == nil || !strings.Contains(err.Error(), "4097 additions, the most is 4096") {
		t.Error(err)
	}
	if err := c.SetAdditions([]Addition{of("192.0.2.7/24", "", 0)}); err == nil || !strings.Contains(err.Error(), "write 192.0.2.0/24") {
		t.Error(err)
	}
	expect(t, "after mistakes", lines(c.List()), "192.0.2.0/24 operator operator: stays", "203.0.113.0/24 operator operator: new")
	if err := c.SetAdditions(many[:maxAdditions]); err != nil || len(lines(c.List())) != maxAdditions {
		t.Error(err, len(lines(c.List())))
	}
}

// The next Collector takes over what this one knows, through a file.
func TestStateSurvives(t *testing.T) {
	w := newWorld(t)
	w.write("/allow/a", "192.0.2.1\nmx.partner.example\n")
	w.write("/allow/empty/x", "")
	w.write("/other", "192.0.2.99\n")
	w.dns.set("ip4 mx.partner.example", "198.51.100.1")
	w.dns.set("ip6 mx.partner.example", "2001:db8::1")
	w.runs["postconf -x mynetworks"] = "relayhost = example.net\n"
	w.dns.set("mx example.net", "out.example.net.")
	w.dns.set("ip4 out.example.net", "203.0.113.2")
	o := hostOptions(w)
	o.Files = []string{"/allow", "/other"}
	c := New(o)
	w.collect(c)
	for _, a := range []Addition{{Prefix: netip.MustParsePrefix("203.0.113.9/32"), Persist: true}, {Prefix: netip.MustParsePrefix("203.0.113.8/32")}} {
		if _, err := c.Add(a); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(c.State().Kept()); err != nil {
		t.Fatal(err)
	}
	var s State
	if err := gob.NewDecoder(&b).Decode(&s); err != nil {
		t.Fatal(err)
	}

	// Everything fails after the restart, and /other is no longer named.
	w.remove("/allow")
	w.dns.set("ip4 mx.partner.example", errServfail)
	w.dns.set("mx example.net", errServfail)
	w.dns.set("ip4 out.example.net", errServfail)
	o.Files = []string{"/allow/"}
	c = New(o)
	if err := c.Restore(s); err != nil {
		t.Fatal(err)
	}
	expectOne(t, c.List(), BanNothing, "not read yet")
	l := w.collect(c)
	expect(t, "entries", lines(l),
		"192.0.2.1/32 file /allow/a:1", "198.51.100.1/32 name mx.partner.example (/allow/a:2)",
		"203.0.113.2/32 postfix relayhost: out.example.net", "203.0.113.9/32 operator operator",
		"2001:db8::1/128 name mx.partner.example (/allow/a:2)")
	if l.NoWidening() || len(l.Problems()) == 0 {
		t.Fatalf("problems %q", problems(l))
	}
	if err := c.Restore(s); err == nil {
		t.Fatal("restored over what was read")
	}
	// With nothing read anew but the clock, the state is the same again.
	again := New(o)
	if err := again.Restore(c.State()); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again.State(), c.State()) {
		t.Fatalf("%+v\n%+v", again.State(), c.State())
	}
}

func TestReloadDoesNotBeginTheGraceAnew(t *testing.T) {
	w := newWorld(t)
	c := nameCollector(w, "mx.partner.example")
	w.collect(c)
	w.pass(11 * time.Minute)
	for _, x := range []struct {
		state State
		want  Severity
	}{{c.State(), Alarm}, {c.State().Kept(), NoWidening}} {
		n := nameCollector(w, "mx.partner.example")
		if err := n.Restore(x.state); err != nil {
			t.Fatal(err)
		}
		expectOne(t, w.collect(n), x.want)
	}
}

func TestNonsenseIsNotRestored(t *testing.T) {
	p := netip.MustParsePrefix
	a := netip.MustParseAddr
	for name, s := range map[string]State{
		"invalid addition":     {Additions: []Addition{{}}},
		"addition twice":       {Additions: []Addition{{Prefix: p("192.0.2.0/24")}, {Prefix: p("192.0.2.0/24")}}},
		"additions unsorted":   {Additions: []Addition{{Prefix: p("192.0.2.0/24")}, {Prefix: p("192.0.1.0/24")}}},
		"too many additions":   {Additions: make([]Addition, maxAdditions+1)},
		"files unsorted":       {Files: []FileState{{Path: "b"}, {Path: "a"}}},
		"empty item":           {Files: []FileState{{Path: "a", Items: []Item{{Line: 1}}}}},
		"item with both":       {Files: []FileState{{Path: "a", Items: []Item{{1, p("192.0.2.0/24"), "x.example"}}}}},
		"item with host bits":  {Files: []FileState{{Path: "a", Items: []Item{{1, p("192.0.2.1/24"), ""}}}}},
		"item without a line":  {Files: []FileState{{Path: "a", Items: []Item{{0, p("192.0.2.0/24"), ""}}}}},
		"no name":              {Names: []NameState{{Name: "x y"}}},
		"names unsorted":       {Names: []NameState{{Name: "b.example"}, {Name: "a.example"}}},
		"answer without time":  {Names: []NameState{{Name: "a.example", V4: []netip.Addr{a("192.0.2.1")}}}},
		"time without answer":  {Names: []NameState{{Name: "a.example", AtHosts: 5}}},
		"negative time":        {Names: []NameState{{Name: "a.example", FirstAsked: -5}}},
		"answer unsorted":      {Names: []NameState{{Name: "a.example", V4: []netip.Addr{a("192.0.2.2"), a("192.0.2.1")}, At4: 1}}},
		"no address":           {Names: []NameState{{Name: "a.example", V4: []netip.Addr{{}}, At4: 1}}},
		"address with a zone":  {Names: []NameState{{Name: "a.example", V6: []netip.Addr{a("fe80::1%x")}, At6: 1}}},
		"host that is no name": {Names: []NameState{{Name: "a.example", MX: true, Hosts: []string{"x y"}, AtHosts: 1}}},
		"too many hosts":       {Names: []NameState{{Name: "a.example", MX: true, Hosts: make([]string, maxHosts+1), AtHosts: 1}}},
		"too many names":       {Names: make([]NameState, maxNames+1)},
	} {
		c := New(newWorld(t).options())
		if err := c.Restore(s); err == nil {
			t.Errorf("%s: restored", name)
		}
	}
}

// The methods may be called while a look is going on (run with -race).
func TestLookingAndAddingAtTheSameTime(t *testing.T) {
	w := newWorld(t)
	w.write("/allow", "192.0.2.1\n")
	w.dns.set("ip4 mx.partner.example", "198.51.100.1")
	o := w.options()
	o.Files, o.Names = []string{"/allow"}, []string{"mx.partner.example"}
	c := New(o)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 50 {
			if _, err := c.Collect(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for i := range 50 {
			if _, err := c.Add(Addition{Prefix: prefix.Host(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}))}); err != nil {
				t.Error(err)
			}
			c.State()
			c.Next()
		}
	})
	wg.Wait()
	if got := len(lines(c.List())); got != 52 {
		t.Fatalf("%d entries", got)
	}
}

func TestExec(t *testing.T) {
	t.Setenv("POSTMOAT_SECRET", "x")
	ctx := context.Background()
	if _, err := Exec(ctx, "postmoat-no-such-program"); !errors.Is(err, exec.ErrNotFound) {
		t.Error(err)
	}
	out, err := Exec(ctx, "env")
	if err != nil || strings.Contains(string(out), "SECRET") || !strings.Contains(string(out), "LC_ALL=C") {
		t.Errorf("%q, %v", out, err)
	}
	if out, err = Exec(ctx, "printf", "%s", "$HOME;`id`"); err != nil || string(out) != "$HOME;`id`" {
		t.Errorf("%q, %v", out, err)
	}
	var code *exec.ExitError
	if _, err = Exec(ctx, "ls", "/no/such/file"); !errors.As(err, &code) || !strings.Contains(err.Error(), "No such file") {
		t.Error(err)
	}
	if _, err = Exec(ctx, "head", "-c", fmt.Sprint(runOutput+1), "/dev/zero"); err == nil || !strings.Contains(err.Error(), "bytes of output") {
		t.Error(err)
	}
	if out, err = Exec(ctx, "head", "-c", fmt.Sprint(runOutput), "/dev/zero"); err != nil || len(out) != runOutput {
		t.Error(len(out), err)
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if _, err = Exec(ctx, "env"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
