package allow

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func nameCollector(w *world, names ...string) *Collector {
	o := w.options()
	o.Names = names
	return New(o)
}

func TestNamesHaveAddressesOfBothFamilies(t *testing.T) {
	w := newWorld(t)
	w.dns.set("ip4 mx.partner.example", "198.51.100.2 198.51.100.1")
	w.dns.set("ip6 mx.partner.example", "2001:db8::1")
	l := w.collect(nameCollector(w, "MX.Partner.Example."))
	expect(t, "entries", lines(l),
		"198.51.100.1/32 name mx.partner.example", "198.51.100.2/32 name mx.partner.example", "2001:db8::1/128 name mx.partner.example")
	expect(t, "problems", problems(l))
}

func TestNamesInFilesSayWhere(t *testing.T) {
	w := newWorld(t)
	w.write("/allow", "# us\noffice.example\n")
	w.dns.set("ip4 office.example", "198.51.100.1")
	l := w.collect(fileCollector(w, "/allow"))
	expect(t, "entries", lines(l), "198.51.100.1/32 name office.example (/allow:2)")
}

func TestNameNeverResolvedHoldsWideningTenMinutes(t *testing.T) {
	w := newWorld(t)
	c := nameCollector(w, "mx.partner.example")
	expectOne(t, w.collect(c), NoWidening, "mx.partner.example is not resolved yet", "knows no such name", "until "+stamp(w.now.Unix()+600))
	// The daemon looks when it is told to.
	start := w.now
	for w.now.Sub(start) < 10*time.Minute {
		if !w.refresh(c).NoWidening() {
			t.Fatalf("widening after %v", w.now.Sub(start))
		}
		next := c.Next()
		if !next.After(w.now) || next.Sub(w.now) > 40*time.Second {
			t.Fatalf("next look %v after %v", next, w.now)
		}
		w.now = next
	}
	if at := w.now.Sub(start); at != 10*time.Minute {
		t.Fatalf("the end of the grace is looked at after %v", at)
	}
	l := w.refresh(c)
	expectOne(t, l, Alarm, "is not resolved (", "take it out")
	if l.NoWidening() || l.BanNothing() {
		t.Fatal("an alarm stops bans")
	}
	w.dns.set("ip4 mx.partner.example", "198.51.100.1")
	w.now = c.Next()
	l = w.refresh(c)
	expect(t, "resolved at last", append(lines(l), problems(l)...), "198.51.100.1/32 name mx.partner.example")
}

func TestLastGoodAnswerIsKeptSevenDays(t *testing.T) {
	w := newWorld(t)
	w.dns.set("ip4 mx.partner.example", "198.51.100.1")
	c := nameCollector(w, "mx.partner.example")
	w.collect(c)
	good := w.now
	w.dns.set("ip4 mx.partner.example", errServfail)
	w.dns.set("ip6 mx.partner.example", errServfail)
	w.now = c.Next()
	l := w.refresh(c)
	expect(t, "entries", lines(l), "198.51.100.1/32 name mx.partner.example")
	expectOne(t, l, Note, "server misbehaving", "stays in force until "+stamp(good.Unix()+7*86400))
	w.pass(24 * time.Hour)
	expectOne(t, w.refresh(c), Alarm, "stays in force")
	w.now = good.Add(7 * 24 * time.Hour)
	expect(t, "on the seventh day", lines(w.refresh(c)), "198.51.100.1/32 name mx.partner.example")
	w.now = good.Add(7*24*time.Hour + 5*time.Minute)
	l = w.refresh(c)
	expect(t, "after seven days", lines(l))
	expectOne(t, l, Alarm, "is not resolved")
}

func TestAnAnswerThatChangesIsTaken(t *testing.T) {
	w := newWorld(t)
	w.dns.set("ip4 mx.partner.example", "198.51.100.1")
	w.dns.set("ip6 mx.partner.example", "2001:db8::1")
	c := nameCollector(w, "mx.partner.example")
	w.collect(c)
	first := w.now
	w.dns.set("ip4 mx.partner.example", "198.51.100.9")
	w.dns.set("ip6 mx.partner.example", errServfail) // keeps what it had
	w.pass(time.Minute)
	w.refresh(c)
	if n := w.dns.times("ip4 mx.partner.example"); n != 1 {
		t.Fatalf("asked %d times within a minute", n)
	}
	w.now = c.Next()
	if d := w.now.Sub(first); d < 4*time.Minute || d > 6*time.Minute {
		t.Fatalf("asked again after %v", d)
	}
	expect(t, "AAAA fails", lines(w.refresh(c)), "198.51.100.9/32 name mx.partner.example", "2001:db8::1/128 name mx.partner.example")
	w.dns.set("ip6 mx.partner.example", "")
	w.now = c.Next()
	expect(t, "AAAA gone", lines(w.refresh(c)), "198.51.100.9/32 name mx.partner.example")
}

func TestThirtyThreeAddresses(t *testing.T) {
	w := newWorld(t)
	var addrs []string
	for i := 33; i > 0; i-- {
		addrs = append(addrs, fmt.Sprintf("198.51.100.%d", i))
	}
	w.dns.set("ip4 big.example", strings.Join(addrs, " "))
	l := w.collect(nameCollector(w, "big.example"))
	if got := lines(l); len(got) != 32 || got[0] != "198.51.100.1/32 name big.example" || got[31] != "198.51.100.32/32 name big.example" {
		t.Fatalf("%d entries: %q", len(got), got)
	}
	expectOne(t, l, Alarm, "more than 32 addresses")

	w.dns.set("ip4 big.example", strings.Join(addrs[1:], " "))
	c := nameCollector(w, "big.example")
	l = w.collect(c)
	expect(t, "32 are fine", problems(l))
	w.dns.set("ip6 big.example", "2001:db8::1")
	w.now = c.Next()
	l = w.refresh(c)
	if len(lines(l)) != 32 {
		t.Fatalf("%d entries", len(lines(l)))
	}
	expectOne(t, l, Alarm, "more than 32 addresses")
}

func TestAddressesOfNoInternetAreTakenAndNoted(t *testing.T) {
	w := newWorld(t)
	w.dns.set("ip4 odd.example", "0.0.0.0 10.0.0.1 127.0.0.2 198.51.100.1")
	l := w.collect(nameCollector(w, "odd.example"))
	expect(t, "entries", lines(l), "0.0.0.0/32 name odd.example", "10.0.0.1/32 name odd.example",
		"127.0.0.2/32 name odd.example", "198.51.100.1/32 name odd.example")
	if p := l.Problems(); len(p) != 3 || p[0].Severity != Note {
		t.Fatalf("problems %q", problems(l))
	}
}

func TestHostileAnswersDoNoHarm(t *testing.T) {
	l := new(lookup)
	q := query{name: "x.example"}
	l.note(q, outcome{v4: []netip.Addr{{}, netip.MustParseAddr("::ffff:192.0.2.1")}, v6: []netip.Addr{netip.MustParseAddr("fe80::1%eth0")}}, 100)
	if len(l.v4.addrs) != 1 || l.v4.addrs[0] != netip.MustParseAddr("192.0.2.1") || l.v6.addrs[0] != netip.MustParseAddr("fe80::1") {
		t.Fatalf("%+v", l)
	}
	mx := new(lookup)
	q.mx = true
	mx.note(q, outcome{exchangers: []*net.MX{{Host: "evil name\n.example."}, {Host: "Good.Example."}, {Host: "."}}}, 100)
	if len(mx.hosts) != 1 || mx.hosts[0] != "good.example" {
		t.Fatalf("%+v", mx)
	}
	var many []*net.MX
	for i := range 40 {
		many = append(many, &net.MX{Host: fmt.Sprintf("mx%02d.example.", i)})
	}
	if mx.note(q, outcome{exchangers: many}, 200); len(mx.hosts) != maxHosts {
		t.Fatalf("%d hosts", len(mx.hosts))
	}
}

func TestTooManyNames(t *testing.T) {
	w := newWorld(t)
	var text strings.Builder
	for i := range maxNames + 3 {
		fmt.Fprintf(&text, "h%d.example\n", i)
		w.dns.set(fmt.Sprintf("ip4 h%d.example", i), "198.51.100.1")
	}
	w.write("/allow", text.String())
	c := fileCollector(w, "/allow")
	expectOne(t, w.collect(c), NoWidening, "3 names too many")
	// Other names get the room of those that nobody uses any more.
	w.write("/allow", "new.example\n")
	w.dns.set("ip4 new.example", "198.51.100.7")
	for range 3 {
		w.pass(10 * time.Minute)
		w.refresh(c)
	}
	expect(t, "entries", lines(c.List()), "198.51.100.7/32 name new.example (/allow:1)")
	expect(t, "problems", problems(c.List()))
}

func TestANameThatNobodyUsesIsNeverDue(t *testing.T) {
	w := newWorld(t)
	w.dns.set("ip4 old.example", "198.51.100.1")
	w.write("/allow", "old.example\n")
	c := fileCollector(w, "/allow")
	w.collect(c)
	w.write("/allow", "192.0.2.1\n")
	for range 3 {
		w.pass(time.Hour)
		w.refresh(c)
	}
	if next := c.Next(); !next.After(w.now) {
		t.Fatalf("something is due at %v, it is %v", next, w.now)
	}
	if n := w.dns.times("ip4 old.example"); n > 3 {
		t.Fatalf("asked %d times", n)
	}
}

func TestWithoutDNSNothingIsAsked(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Names, o.NoDNS = []string{"mx.partner.example"}, true
	c := New(o)
	expectOne(t, w.collect(c), Note, "not looked up here")
	if len(w.dns.asked) > 0 || !c.Next().IsZero() {
		t.Fatalf("asked %q, next %v", w.dns.asked, c.Next())
	}
}

func TestBadNameInTheConfiguration(t *testing.T) {
	w := newWorld(t)
	expectOne(t, w.collect(nameCollector(w, "*.example")), NoWidening, "whole domain")
}

func TestCancelledRoundCountsForNothing(t *testing.T) {
	w := newWorld(t)
	c := nameCollector(w, "mx.partner.example")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	before := c.List()
	l, err := c.Collect(ctx)
	if !errors.Is(err, context.Canceled) || l != before || !l.BanNothing() {
		t.Fatalf("%v, %q", err, problems(l))
	}
	w.dns.set("ip4 mx.partner.example", "198.51.100.1")
	l = w.collect(c)
	expect(t, "afterwards", append(lines(l), problems(l)...), "198.51.100.1/32 name mx.partner.example")
}

func TestJitterIsBoundedAndStable(t *testing.T) {
	seen := make(map[int64]bool)
	for i := range 200 {
		j := jitter(fmt.Sprintf("h%d.example", i), 30)
		if j < -30 || j > 30 || j != jitter(fmt.Sprintf("h%d.example", i), 30) {
			t.Fatal(j)
		}
		seen[j] = true
	}
	if len(seen) < 20 {
		t.Fatalf("%d different delays only", len(seen))
	}
}

func TestFailuresAreTheSameTextEachTime(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&net.DNSError{IsNotFound: true, Err: "no such host", Server: "192.0.2.1"}, "the DNS knows no such name"},
		{&net.DNSError{IsTimeout: true, Err: "i/o timeout"}, "the resolver does not answer in time"},
		{context.DeadlineExceeded, "the resolver does not answer in time"},
		{errServfail, "server misbehaving"},
		{errNoAddress, "no address"},
		{errBroken, "broken on purpose"},
	} {
		if got := failure(c.err); got != c.want {
			t.Errorf("%v: %q", c.err, got)
		}
	}
}
