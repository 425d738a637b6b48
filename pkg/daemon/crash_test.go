package daemon_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/config"
	"github.com/postmoat/postmoat/pkg/daemon"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/memory"
)

// TestStopWhileStarting holds that a stop before the daemon has begun leaves the
// state as it is: the snapshot was not to blame.
func TestStopWhileStarting(t *testing.T) {
	folder := t.TempDir()
	h := startHost(t, folder, nil)
	if _, err := h.Ban(t.Context(), daemon.BanRequest{Prefix: netip.MustParsePrefix("203.0.113.9/32")}); err != nil {
		t.Fatal(err)
	}
	h.stop()
	s, err := settings(filepath.Join(folder, "mail.log"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	b, err := memory.New(firewall.Options{Ports: config.Default().Doors})
	if err != nil {
		t.Fatal(err)
	}
	d, err := daemon.New(daemon.Options{Settings: s, Backend: b, State: filepath.Join(folder, "state")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Run(ctx); err != nil {
		t.Errorf("run: %v", err)
	}
	h = startHost(t, folder, nil)
	h.wantBanned("203.0.113.9/32")
}

// TestReloadWithTwoSources holds that the state of a daemon that got two sources
// by one reload can be read by the next.
func TestReloadWithTwoSources(t *testing.T) {
	folder := t.TempDir()
	more := func(s *daemon.Settings) error {
		for _, name := range []string{"b.log", "c.log"} {
			x, err := settings(filepath.Join(folder, name), time.Now)
			if err != nil {
				return err
			}
			s.Sources = append(s.Sources, x.Sources...)
		}
		return nil
	}
	h := startHost(t, folder, func(o *daemon.Options) {
		o.Reload = func(context.Context) (daemon.Settings, error) {
			s, err := settings(filepath.Join(folder, "mail.log"), time.Now)
			if err == nil {
				err = more(&s)
			}
			return s, err
		}
	})
	if _, err := h.Ban(t.Context(), daemon.BanRequest{Prefix: netip.MustParsePrefix("203.0.113.9/32")}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Reload(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	h.stop()
	h = startHost(t, folder, func(o *daemon.Options) {
		if err := more(&o.Settings); err != nil {
			t.Fatal(err)
		}
	})
	h.wantBanned("203.0.113.9/32")
	bad, err := filepath.Glob(filepath.Join(folder, "state", "*.bad-*"))
	if err != nil || len(bad) > 0 {
		t.Errorf("moved aside: %v, %v", bad, err)
	}
}

// TestRefusedBanStaysRefused holds that a ban by hand that was refused is not
// made by the next start, when the allowlist is another.
func TestRefusedBanStaysRefused(t *testing.T) {
	folder := t.TempDir()
	h := startHost(t, folder, nil)
	p := netip.MustParsePrefix("203.0.113.9/32")
	if err := h.AllowAdd(t.Context(), allow.Addition{Prefix: p}, "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Ban(t.Context(), daemon.BanRequest{Prefix: p}); err == nil {
		t.Fatal("an allowlisted host was banned")
	}
	if err := h.AllowRemove(t.Context(), p, "test"); err != nil {
		t.Fatal(err)
	}
	// As a crash would leave it, with the journal alone.
	journals, err := filepath.Glob(filepath.Join(folder, "state", "journal.*"))
	if err != nil || len(journals) == 0 {
		t.Fatalf("journals %v, %v", journals, err)
	}
	crashed := t.TempDir()
	if err := os.Mkdir(filepath.Join(crashed, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range journals {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(crashed, "state", filepath.Base(name)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h = startHost(t, crashed, nil)
	if bans, err := h.Bans(t.Context()); err != nil || len(bans) > 0 {
		t.Errorf("banned: %+v, %v", bans, err)
	}
}
