package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postmoat/postmoat/pkg/daemon"
)

// TestQuestions asks everything that changes nothing.
func TestQuestions(t *testing.T) {
	f := newFake(t)
	path, _, _ := serving(t, f)
	c := Dial(path)
	defer c.Close()

	st, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := f.status
	want.Near, want.Allowlist.Problems = []daemon.Near{}, []string{} // never null
	if d := cmp.Diff(want, st); d != "" {
		t.Errorf("status (-want +got):\n%s", d)
	}

	l, err := c.Allowlist(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(l.Entries, func(a Allowed) bool { return a.Prefix == "198.51.100.0/24" })
	if i < 0 || l.Entries[i].Kind != "config" || l.Entries[i].Origin != "postmoat.yaml:3" || l.BanNothing {
		t.Errorf("allowlist: %+v", l)
	}

	x, err := c.Explain(t.Context(), netip.MustParseAddr("192.0.2.9"))
	if err != nil {
		t.Fatal(err)
	}
	if x.Address != "192.0.2.9" || x.KnownGood == nil || x.KnownGood.Unix() != start || x.Messages != 2.5 ||
		len(x.Bans) != 1 || x.Bans[0].Prefix != "192.0.2.0/24" || len(x.Allowed) != 1 ||
		len(x.Past) != 1 || x.Past[0].Ended != "expired" {
		t.Errorf("explain: %+v", x)
	}
	when := time.Unix(start, 0).UTC()
	standing := []Standing{{
		Door: "login", Window: "burst", Span: 600, Client: "192.0.2.9", Score: 2.5, Limit: 10, Events: 3,
		Evidence: []Evidence{{Time: when, Client: "192.0.2.9", Rules: []string{"sasl"}, Weight: 1, Count: 1}},
	}}
	if d := cmp.Diff(standing, x.Standing); d != "" {
		t.Errorf("standing (-want +got):\n%s", d)
	}
}

// TestBans: the contract of `postmoat list --format json`.
func TestBans(t *testing.T) {
	f := newFake(t)
	path, _, _ := serving(t, f)
	c := Dial(path)
	defer c.Close()
	for _, x := range []struct {
		q    Query
		want string
	}{
		{Query{}, "192.0.2.0/24 203.0.113.7/32 2001:db8::/32"},
		{Query{Door: "login"}, "203.0.113.7/32"},
		{Query{State: "waiting"}, "2001:db8::/32"},
		{Query{Prefix: "192.0.2.77"}, "192.0.2.0/24"},
		{Query{Prefix: "203.0.112.0/22"}, "203.0.113.7/32"},
		{Query{Prefix: "192.0.3.0/24"}, ""},
		{Query{Prefix: "2001:db8:1::/48"}, "2001:db8::/32"},
		{Query{Sort: "newest"}, "2001:db8::/32 203.0.113.7/32 192.0.2.0/24"},
		{Query{Sort: "ends"}, "203.0.113.7/32 192.0.2.0/24 2001:db8::/32"},
		{Query{Sort: "knocks"}, "192.0.2.0/24 2001:db8::/32 203.0.113.7/32"},
		{Query{Sort: "members", Door: "smtp"}, "192.0.2.0/24 2001:db8::/32"},
	} {
		bans, err := c.Bans(t.Context(), x.q)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, b := range bans {
			got = append(got, b.Prefix)
		}
		if strings.Join(got, " ") != x.want {
			t.Errorf("%+v: %v, want %s", x.q, got, x.want)
		}
	}

	code, body := rawGet(t, path, "/v1/bans?prefix=2001:db8::1")
	var rows []map[string]any
	if err := json.Unmarshal(body, &rows); err != nil || code != 200 || len(rows) != 1 {
		t.Fatalf("%d %s %v", code, body, err)
	}
	want := map[string]any{
		"prefix": "2001:db8::/32", "door": "smtp", "from": "2027-01-15T08:00:07Z", "until": nil, "ended": "running",
		"members": []any{}, "rules": map[string]any{}, "level": 0.0, "why": rows[0]["why"],
		"remaining": nil, "knocks": 3.0, "state": "waiting", "pinned": true, "because": "abuse desk",
	}
	if d := cmp.Diff(want, rows[0]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if why, _ := rows[0]["why"].(string); !strings.Contains(why, "banned by hand") {
		t.Errorf("why: %q", why)
	}

	timed, err := c.Bans(t.Context(), Query{Prefix: "192.0.2.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	if b := timed[0]; b.Until == nil || b.Until.Unix() != f.held[1].Until || b.Remaining == nil || *b.Remaining < 3500 || *b.Remaining > 3600 || len(b.Members) != 3 || b.Rules["sasl"] != 6 {
		t.Errorf("%+v", timed[0])
	}
}

// TestChanges asks for everything that changes something: it arrives whole,
// with who asked.
func TestChanges(t *testing.T) {
	f := newFake(t)
	path, log, _ := serving(t, f)
	c := Dial(path)
	defer c.Close()
	ctx := t.Context()

	bans, err := c.Ban(ctx, BanRequest{Prefix: "203.0.113.0/24", Seconds: 3600, Because: "noise", Force: true, Peers: []string{"198.51.100.9"}})
	if err != nil || len(bans) != 1 || bans[0].Prefix != "203.0.113.0/24" || bans[0].Remaining == nil {
		t.Errorf("ban: %+v %v", bans, err)
	}
	if _, err := c.Ban(ctx, BanRequest{Prefix: "2001:db8::7"}); err != nil {
		t.Errorf("ban an address: %v", err)
	}
	hour, none := int64(7200), int64(0)
	for _, r := range []UnbanRequest{{Prefix: "192.0.2.7"}, {Prefix: "192.0.2.0/24", Seconds: &hour}, {Prefix: "192.0.2.0/24", Seconds: &none}, {All: true}} {
		u, err := c.Unban(ctx, r)
		if err != nil || len(u.Lifted) != 1 {
			t.Errorf("unban %+v: %+v %v", r, u, err)
		}
	}
	before := time.Now().Unix()
	a, err := c.AllowAdd(ctx, AllowRequest{Prefix: "203.0.113.5", Seconds: 60, Persist: true, Because: "partner"})
	if err != nil || a.Prefix != "203.0.113.5/32" || a.Until == nil {
		t.Errorf("allow add: %+v %v", a, err)
	}
	r, err := c.Reload(ctx)
	if err != nil || !slices.Equal(r.Changes, []string{"+ budget: 100"}) {
		t.Errorf("reload: %+v %v", r, err)
	}
	if err := errors.Join(c.AllowRemove(ctx, "203.0.113.5/32"), c.Pause(ctx), c.Resume(ctx)); err != nil {
		t.Error(err)
	}
	// The server's requests have ended when their answers have come.
	me := fmt.Sprintf("(uid %d, pid %d)", os.Getuid(), os.Getpid())
	if len(f.by) != 11 {
		t.Errorf("%d changes arrived", len(f.by))
	}
	for _, by := range f.by {
		if !strings.HasSuffix(by, me) {
			t.Errorf("by %q, want ... %s", by, me)
		}
	}
	first := daemon.BanRequest{
		Prefix: netip.MustParsePrefix("203.0.113.0/24"), For: time.Hour, Because: "noise", Force: true,
		Peers: []netip.Addr{netip.MustParseAddr("198.51.100.9")}, By: f.by[0],
	}
	if d := cmp.Diff(first, f.bans[0], cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("ban (-want +got):\n%s", d)
	}
	if f.bans[1].Prefix != netip.MustParsePrefix("2001:db8::7/128") || f.bans[1].For != 0 {
		t.Errorf("ban: %+v", f.bans[1])
	}
	for i, want := range []time.Duration{time.Hour, 2 * time.Hour, 0, 0} {
		if f.unbans[i].For != want || f.unbans[i].Prefix.IsValid() != (i < 3) {
			t.Errorf("unban %d: %+v", i, f.unbans[i])
		}
	}
	if x := f.added[0]; !x.Persist || x.Because != "partner" || x.Until < before+59 || x.Until > time.Now().Unix()+60 {
		t.Errorf("addition: %+v", x)
	}
	if text := log.String(); text != "" {
		t.Errorf("the daemon logs what was done, and who asked; here it was logged once more:\n%s", text)
	}
}

// TestWarning: who changes something is told when the daemon cannot write it down.
func TestWarning(t *testing.T) {
	f := newFake(t)
	path, _, _ := serving(t, f)
	c := Dial(path)
	defer c.Close()
	var said []string
	c.Warn = func(text string) { said = append(said, text) }
	ctx := t.Context()
	change := func() {
		t.Helper()
		_, err1 := c.Ban(ctx, BanRequest{Prefix: "203.0.113.0/24"})
		_, err2 := c.Unban(ctx, UnbanRequest{All: true})
		_, err3 := c.AllowAdd(ctx, AllowRequest{Prefix: "203.0.113.5"})
		err := errors.Join(err1, err2, err3, c.AllowRemove(ctx, "203.0.113.5"), c.Pause(ctx), c.Resume(ctx))
		if err != nil {
			t.Error(err)
		}
	}
	change()
	if len(said) > 0 {
		t.Errorf("the disk takes all, and yet: %q", said)
	}
	f.waits = 3
	change()
	if len(said) != 6 || !strings.Contains(said[0], "wait: 3") {
		t.Errorf("after 6 changes on a full disk: %q", said)
	}
	said = nil
	if _, err := c.Status(ctx); err != nil || len(said) > 0 {
		t.Errorf("a question: %v, %q", err, said)
	}
}

// TestRefused: what makes no sense is refused before the daemon hears of it.
func TestRefused(t *testing.T) {
	f := newFake(t)
	path, _, _ := serving(t, f)
	for _, x := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/", "", 404, "no such path"},
		{"GET", "/v2/status", "", 404, "speaks v1"},
		{"GET", "/v1/statusx", "", 404, "no such path"},
		{"GET", "/v1/explain/192.0.2.1/x", "", 404, "no such path"},
		{"POST", "/v1/status", "", 405, "use GET"},
		{"GET", "/v1/ban", "", 405, "use POST"},
		{"DELETE", "/v1/bans", "", 405, "use GET"},
		{"OPTIONS", "/v1/bans", "", 405, "use GET"},
		{"GET", "/v1/status", "{}", 400, "has no body"},
		{"GET", "/v1/explain/", "", 400, "not an address"},
		{"GET", "/v1/explain/192.0.2", "", 400, "not an address"},
		{"GET", "/v1/explain/192.0.2.0%2F24", "", 404, ""},
		{"GET", "/v1/explain/fe80::1%25eth0", "", 400, "has a zone"},
		{"GET", "/v1/bans?door=ftp", "", 400, "no door ftp"},
		{"GET", "/v1/bans?sort=random", "", 400, "no order"},
		{"GET", "/v1/bans?state=no", "", 400, "no state"},
		{"GET", "/v1/bans?prefix=x", "", 400, "not an address"},
		{"GET", "/v1/bans?door=smtp&door=login", "", 400, "more than one door"},
		{"GET", "/v1/bans?limit=3", "", 400, "no parameter limit"},
		{"POST", "/v1/ban", "", 400, "no body"},
		{"POST", "/v1/ban", "[]", 400, "not the JSON"},
		{"POST", "/v1/ban", `{"prefix":"192.0.2.0/24"`, 400, "not the JSON"},
		{"POST", "/v1/ban", `{"prefix":"192.0.2.0/24"} {}`, 400, "behind"},
		{"POST", "/v1/ban", `{"prefix":"192.0.2.0/24","frob":1}`, 400, "frob"},
		{"POST", "/v1/ban", `{"prefix":7}`, 400, "prefix"},
		{"POST", "/v1/ban", `{}`, 400, "not an address"},
		{"POST", "/v1/ban", `{"prefix":"192.0.2.1/24"}`, 400, "host bits"},
		{"POST", "/v1/ban", `{"prefix":"::ffff:192.0.2.1"}`, 400, "IPv4-mapped"},
		{"POST", "/v1/ban", `{"prefix":"192.0.2.1","for":-1}`, 400, "out of range"},
		{"POST", "/v1/ban", `{"prefix":"192.0.2.1","for":9223372036854775807}`, 400, "out of range"},
		{"POST", "/v1/ban", `{"prefix":"192.0.2.1","for":1e99}`, 400, "for"},
		{"POST", "/v1/ban", `{"prefix":"192.0.2.1","because":"a\u001b[2Jb"}`, 400, "not plain text"},
		{"POST", "/v1/ban", `{"prefix":"192.0.2.1","because":"` + strings.Repeat("x", 201) + `"}`, 400, "longer than 200"},
		{"POST", "/v1/ban", `{"prefix":"192.0.2.1","peers":["nonsense"]}`, 400, "nonsense"},
		{"POST", "/v1/ban", `{"prefix":"192.0.2.1","peers":["` + strings.Repeat(`192.0.2.9","`, 16) + `192.0.2.9"]}`, 400, "more than 16"},
		{"POST", "/v1/unban", `{}`, 400, "either"},
		{"POST", "/v1/unban", `{"all":true,"prefix":"192.0.2.1"}`, 400, "either"},
		{"POST", "/v1/unban", `{"all":true,"for":60}`, 400, "postmoat pause"},
		{"POST", "/v1/allow/add", `{"prefix":"192.0.2.1","for":-5}`, 400, "out of range"},
		{"POST", "/v1/allow/remove", `{"prefix":""}`, 400, "not an address"},
		{"POST", "/v1/pause", `{"x":1}`, 400, "x"},
		{"POST", "/v1/reload", `null 1`, 400, "behind"},
	} {
		code, body := rawDo(t, path, x.method, x.path, x.body)
		var p problem
		if err := json.Unmarshal(body, &p); err != nil || p.Error == "" {
			t.Errorf("%s %s %s: the answer is not an error: %s", x.method, x.path, x.body, body)
		}
		if code != x.status || !strings.Contains(p.Error+" "+p.Hint, x.says) {
			t.Errorf("%s %s %s: %d %+v, want %d %q", x.method, x.path, x.body, code, p, x.status, x.says)
		}
	}
	if f.calls != 0 {
		t.Errorf("the daemon heard of %d of them", f.calls)
	}
}

// TestDaemonRefuses: what the daemon says arrives with a status that fits.
func TestDaemonRefuses(t *testing.T) {
	for _, x := range []struct {
		err    error
		do     func(context.Context, *Client) error
		status int
		what   string
		hint   string
	}{
		{&daemon.Refusal{What: "ban 192.0.0.0/8: wider than a /16", Hint: "say --force"}, banIt, 409, "wider than a /16", "say --force"},
		{daemon.ErrStopped, banIt, 503, "not running", "try again"},
		{context.DeadlineExceeded, banIt, 503, "in time", "postmoat status"},
		{errors.New("nftables: apply: no"), banIt, 500, "nftables: apply: no", ""},
		{errors.New("postmoat.yaml:3: bad\npostmoat.yaml:4: worse"), func(ctx context.Context, c *Client) error { _, err := c.Reload(ctx); return err }, 409, "bad\npostmoat.yaml:4", ""},
		{errors.New("192.0.2.0/24 was not added by command"), func(ctx context.Context, c *Client) error { return c.AllowRemove(ctx, "192.0.2.0/24") }, 409, "not added by command", ""},
		{daemon.ErrStopped, func(ctx context.Context, c *Client) error { _, err := c.Status(ctx); return err }, 503, "not running", ""},
		{daemon.ErrStopped, func(ctx context.Context, c *Client) error { _, err := c.Bans(ctx, Query{}); return err }, 503, "not running", ""},
		{daemon.ErrStopped, func(ctx context.Context, c *Client) error { return c.Metrics(ctx, &strings.Builder{}) }, 503, "not running", ""},
	} {
		f := newFake(t)
		f.err = x.err
		path, _, stop := serving(t, f)
		c := Dial(path)
		err := x.do(t.Context(), c)
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Status != x.status || !strings.Contains(e.What, x.what) || !strings.Contains(e.Hint, x.hint) {
			t.Errorf("%v: %#v", x.err, err)
		}
		c.Close()
		stop()
	}
}

func banIt(ctx context.Context, c *Client) error {
	_, err := c.Ban(ctx, BanRequest{Prefix: "192.0.2.0/24"})
	return err
}

// TestHealth: one look for a monitor.
func TestHealth(t *testing.T) {
	f := newFake(t)
	path, _, _ := serving(t, f)
	if code, body := rawGet(t, path, "/healthz"); code != 200 || !strings.Contains(string(body), `"healthy":true`) {
		t.Errorf("%d %s", code, body)
	}
	g := newFake(t)
	g.status.Healthy = false
	path, _, _ = serving(t, g)
	if code, body := rawGet(t, path, "/healthz"); code != 503 || !strings.Contains(string(body), "no line for 3 h") {
		t.Errorf("%d %s", code, body)
	}
}
