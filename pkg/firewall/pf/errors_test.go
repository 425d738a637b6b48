package pf_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/firewalltest"
	"github.com/postmoat/postmoat/pkg/firewall/pf"
	"github.com/postmoat/postmoat/pkg/firewall/pf/pftest"
	"github.com/postmoat/postmoat/pkg/maillog"
)

// TestErrors: what an operator can do something about is told as such, on every
// flavour, whether its texts end with a full stop or not.
func TestErrors(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*pftest.State)
		kind   error
		hint   string
	}{
		"no rights":         {func(s *pftest.State) { s.Device = "Permission denied" }, firewall.ErrNotPermitted, "root"},
		"no pf":             {func(s *pftest.State) { s.Device = "No such file or directory" }, firewall.ErrMissingModule, "kldload pf"},
		"no room":           {func(s *pftest.State) { s.Limit, s.LimitSet = 5, true }, firewall.ErrSetFull, "set limit table-entries"},
		"a const table":     {func(s *pftest.State) { s.Anchors["postmoat/cut"].Tables["postmoat_smtp_hosts"].Const = true }, firewall.ErrGone, "set it up again"},
		"the tables killed": {func(s *pftest.State) { delete(s.Anchors, "postmoat/cut") }, firewall.ErrGone, "set it up again"},
	} {
		for _, flavour := range pftest.Flavours {
			w, b, now := host(t, flavour)
			w.Change(test.change)
			err := b.Apply(t.Context(), ban.Change{Add: firewalltest.Bulk(100, now)})
			if !errors.Is(err, test.kind) || !strings.Contains(firewall.Hint(err), test.hint) {
				t.Errorf("%s: %s: %v (%s)", flavour, name, err, firewall.Hint(err))
			}
			if w.State().Device != "" {
				_, err := pf.Diagnose(t.Context(), pf.Options{Options: firewall.Options{Ports: firewalltest.Ports}, Path: w.Path()})
				if !errors.Is(err, test.kind) {
					t.Errorf("%s: %s: diagnose: %v", flavour, name, err)
				}
			}
		}
	}
}

// TestRequest: FreeBSD's limit for one request is lower than what we hand over.
func TestRequest(t *testing.T) {
	w, b, now := host(t, pftest.FreeBSD)
	w.Change(func(s *pftest.State) { s.RequestMax = 50 })
	err := b.Apply(t.Context(), ban.Change{Add: firewalltest.Bulk(1000, now)})
	if !errors.Is(err, firewall.ErrSetFull) || !strings.Contains(firewall.Hint(err), "net.pf.request_maxcount") {
		t.Errorf("%v (%s)", err, firewall.Hint(err))
	}
}

// TestAllOrNothing: a change that does not fit leaves what was there before, in
// the tables and in the mind of the backend.
func TestAllOrNothing(t *testing.T) {
	w, b, now := host(t, pftest.FreeBSD)
	all := firewalltest.Bulk(1000, now)
	must(t, b.Apply(t.Context(), ban.Change{Add: all[:100]}))
	before := w.Snapshot()
	// The first table has room, and entries that are there already; the
	// last has none.
	w.Change(func(s *pftest.State) { s.Limit = 800 })
	err := b.Apply(t.Context(), ban.Change{Add: all[90:], Remove: all[:50]})
	if !errors.Is(err, firewall.ErrSetFull) {
		t.Fatalf("err = %v", err)
	}
	if got := w.Snapshot(); got != before {
		t.Errorf("before:\n%.500s\nafter:\n%.500s", before, got)
	}
	if d, err := b.Check(t.Context()); err != nil || !d.OK() {
		t.Errorf("check: %+v, %v", d, err)
	}
	w.Change(func(s *pftest.State) { s.Limit = 2000 })
	must(t, b.Apply(t.Context(), ban.Change{Add: all[90:], Remove: all[:50]}))
	if n := len(held(t, b)); n != 950 {
		t.Errorf("%d entries", n)
	}
}

// TestMissingProgram: the path of the options, or none of the system's (these
// tests do not run where there is a pfctl).
func TestMissingProgram(t *testing.T) {
	notRunnable := filepath.Join(t.TempDir(), "pfctl")
	if err := os.WriteFile(notRunnable, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, kind := range map[string]error{"/nonexistent/pfctl": firewall.ErrMissingProgram, notRunnable: firewall.ErrNotPermitted} {
		b, err := pf.New(pf.Options{Options: firewall.Options{Ports: firewalltest.Ports}, Path: path})
		must(t, err)
		if err := b.Setup(t.Context(), nil); !errors.Is(err, kind) || firewall.Hint(err) == "" {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := os.Stat("/sbin/pfctl"); err == nil {
		return
	}
	_, err := pf.Diagnose(t.Context(), pf.Options{Options: firewall.Options{Ports: firewalltest.Ports}})
	if !errors.Is(err, firewall.ErrMissingProgram) || !strings.Contains(firewall.Hint(err), "OpenBSD, FreeBSD and macOS") {
		t.Errorf("%v", err)
	}
}

// TestContext: a load in several calls stops between two of them.
func TestContext(t *testing.T) {
	w, b, now := host(t, pftest.FreeBSD)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for what, err := range map[string]error{
		"setup": b.Setup(ctx, nil), "allow": b.SetAllow(ctx, nil), "teardown": b.Teardown(ctx),
		"apply": b.Apply(ctx, ban.Change{Add: []ban.Entry{entry("192.0.2.1/32", maillog.SMTP, now.Add(time.Hour))}}),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if d, err := b.Check(t.Context()); err != nil || !d.OK() {
		t.Errorf("check: %+v, %v", d, err)
	}
	allowed(t, w)
}

// TestKillFails: a session that cannot be cut is counted, the ban holds.
func TestKillFails(t *testing.T) {
	w, clock := start(t, pftest.OpenBSD)
	fails := filepath.Join(t.TempDir(), "pfctl")
	script := "#!/bin/sh\ncase \"$1\" in -k) echo 'pfctl: DIOCKILLSTATES: Operation not permitted' >&2; exit 1;; esac\nexec " + w.Path() + " \"$@\"\n"
	if err := os.WriteFile(fails, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	b, err := pf.New(pf.Options{Options: firewall.Options{Ports: firewalltest.Ports, Now: clock}, Path: fails})
	must(t, err)
	must(t, b.Setup(t.Context(), nil))
	must(t, b.Apply(t.Context(), ban.Change{Add: []ban.Entry{entry("192.0.2.1/32", maillog.SMTP, clock().Add(time.Hour))}}))
	if got := b.Cut(); got.Failed != 1 || got.Err == nil || !w.Cuts("192.0.2.1", 25) {
		t.Errorf("cut: %+v", got)
	}
}
