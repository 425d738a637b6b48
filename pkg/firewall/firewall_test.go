package firewall_test

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/memory"
	"github.com/postmoat/postmoat/pkg/maillog"
)

// TestPlan: whatever is there, applying the plan makes it what is wanted, and
// then there is nothing more to do.
func TestPlan(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	now := time.Unix(1_800_000_000, 0)
	some := func() []ban.Entry {
		var all []ban.Entry
		for _, i := range rnd.Perm(40)[:rnd.IntN(40)] {
			a := netip.AddrFrom4([4]byte{192, 0, 2, byte(i / 2)})
			all = append(all, ban.Entry{
				Prefix: netip.PrefixFrom(a, 32), Door: maillog.Door(i % 2),
				Deadline: now.Unix() + rnd.Int64N(20) - 2,
			})
		}
		return all
	}
	for range 500 {
		b, err := memory.New(firewall.Options{Ports: [2][]uint16{{25}}, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		if err := errors.Join(b.Setup(ctx, nil), b.Apply(ctx, ban.Change{Add: some()})); err != nil {
			t.Fatal(err)
		}
		have, _ := b.Active(ctx)
		want := some()
		plan := firewall.Plan(have, want, now.Unix())
		if err := b.Apply(ctx, plan); err != nil {
			t.Fatal(err)
		}
		wanted := make(map[firewall.Key]int64)
		for _, e := range want {
			if e.Deadline > now.Unix() {
				wanted[firewall.KeyOf(e)] = e.Deadline
			}
		}
		got := make(map[firewall.Key]int64)
		have, _ = b.Active(ctx)
		for _, a := range have {
			key := firewall.KeyOf(a.Entry)
			got[key] = a.Deadline
			if d := a.Deadline - wanted[key]; -firewall.Slack <= d && d <= firewall.Slack {
				got[key] = wanted[key] // near enough is not touched
			}
		}
		if diff := cmp.Diff(wanted, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Fatal(diff)
		}
		if again := firewall.Plan(have, want, now.Unix()); !again.Empty() {
			t.Fatalf("a second plan is not empty: %v", again)
		}
	}
}

func TestPlanWithoutDeadlines(t *testing.T) {
	e := ban.Entry{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Deadline: 1000}
	have := e
	have.Deadline = 0
	if c := firewall.Plan([]firewall.Active{{Entry: have}}, []ban.Entry{e}, 10); !c.Empty() {
		t.Errorf("a firewall that knows no deadlines is refreshed: %v", c)
	}
}

func TestAhead(t *testing.T) {
	now := time.Unix(1000, 500e6)
	for deadline, want := range map[int64]bool{999: false, 1000: false, 1001: false, 1002: true, 5000: true} {
		if d, ok := firewall.Ahead(ban.Entry{Deadline: deadline}, now); ok != want || ok && d < time.Second {
			t.Errorf("Ahead(%d) = %v, %v", deadline, d, ok)
		}
	}
}

// TestWithoutEnd holds that a ban without end is one that the firewall is told
// again and again, and not one that has ended.
func TestWithoutEnd(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	b, err := memory.New(firewall.Options{Ports: [2][]uint16{{25}}, Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	e := ban.Entry{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Until: ban.Forever, Deadline: ban.Forever}
	if err := errors.Join(b.Setup(t.Context(), nil), b.Apply(t.Context(), ban.Change{Add: []ban.Entry{e}})); err != nil {
		t.Fatal(err)
	}
	refreshed := 0
	for range 100 { // days
		have, err := b.Active(t.Context())
		if err != nil || len(have) != 1 {
			t.Fatalf("%v: holds %v, %v", at, have, err)
		}
		c := firewall.Plan(have, []ban.Entry{e}, at.Unix())
		refreshed += len(c.Refresh)
		if len(c.Add)+len(c.Remove) > 0 {
			t.Fatalf("%v: plan %+v", at, c)
		}
		if err := b.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		at = at.Add(24 * time.Hour)
	}
	if refreshed < 100/25 || refreshed > 100/12 {
		t.Errorf("told again %d times in 100 days", refreshed)
	}
}

func TestOptions(t *testing.T) {
	good := firewall.Options{Ports: [2][]uint16{{25}, {587, 25}}}
	o, err := good.WithDefaults()
	if err != nil || o.Owner != "postmoat" || o.Now == nil {
		t.Errorf("defaults: %+v, %v", o, err)
	}
	if got := o.AllPorts(); !cmp.Equal(got, []uint16{25, 587}) {
		t.Errorf("ports = %v", got)
	}
	for text, change := range map[string]func(*firewall.Options){
		`owner "a b"`:             func(o *firewall.Options) { o.Owner = "a b" },
		`owner "-x"`:              func(o *firewall.Options) { o.Owner = "-x" },
		`owner "seventeenletters`: func(o *firewall.Options) { o.Owner = "seventeenletters_" },
		"action 7":                func(o *firewall.Options) { o.Action = 7 },
		"no door has any":         func(o *firewall.Options) { o.Ports = [2][]uint16{} },
		"0 is no port":            func(o *firewall.Options) { o.Ports[0] = []uint16{0} },
	} {
		o := good
		change(&o)
		if _, err := o.WithDefaults(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("err = %v, want %q in it", err, text)
		}
	}
	for _, a := range []firewall.Action{firewall.Drop, firewall.Reject} {
		if got, ok := firewall.ParseAction(a.String()); !ok || got != a {
			t.Errorf("ParseAction(%q) = %v, %v", a, got, ok)
		}
	}
}

func TestError(t *testing.T) {
	err := error(&firewall.Error{Backend: "nftables", Op: "set up", Kind: firewall.ErrNotPermitted, Hint: "Do this.", Err: fs.ErrPermission})
	if got, want := err.Error(), "nftables: set up: not permitted: permission denied"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	wrapped := errors.Join(context.Canceled, err)
	if !errors.Is(wrapped, firewall.ErrNotPermitted) || !errors.Is(wrapped, fs.ErrPermission) || errors.Is(wrapped, firewall.ErrBusy) {
		t.Error("errors.Is does not see what is wrapped")
	}
	if got := firewall.Hint(wrapped); got != "Do this." {
		t.Errorf("Hint = %q", got)
	}
}
