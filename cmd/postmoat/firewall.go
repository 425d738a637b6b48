package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/iptables"
	"github.com/postmoat/postmoat/pkg/firewall/nftables"
	"github.com/postmoat/postmoat/pkg/firewall/pf"
)

// A backendKind is one way to hold bans.
type backendKind struct {
	name string
	open func(firewall.Options) (firewall.Backend, error)
}

// backendKinds are the backends of this system, the preferred one first.
func backendKinds() []backendKind {
	if runtime.GOOS != "linux" {
		return []backendKind{{"pf", openPF}}
	}
	return []backendKind{{"nftables", openNFTables}, {"iptables", openIPTables}}
}

func openNFTables(o firewall.Options) (firewall.Backend, error) { return nftables.New(o) }

func openIPTables(o firewall.Options) (firewall.Backend, error) {
	return iptables.New(o, iptables.Programs{})
}

func openPF(o firewall.Options) (firewall.Backend, error) { return pf.New(pf.Options{Options: o}) }

// firewallOptions are what the configuration says to every backend.
func (l *loaded) firewallOptions() (firewall.Options, error) {
	action, ok := firewall.ParseAction(l.Firewall.Action)
	if !ok {
		return firewall.Options{}, fmt.Errorf("firewall action %q: not known", l.Firewall.Action)
	}
	return firewall.Options{Ports: l.Doors, Action: action}, nil
}

// backend opens the configured backend. auto takes the first that the kernel
// has.
func (l *loaded) backend(ctx context.Context) (firewall.Backend, error) {
	cleanEnvironment()
	o, err := l.firewallOptions()
	if err != nil {
		return nil, err
	}
	want := l.Firewall.Backend
	if want == "pf" && runtime.GOOS == "linux" || want != "pf" && want != "auto" && runtime.GOOS != "linux" {
		return nil, hinted{fmt.Errorf("firewall backend %s: not on %s", want, runtime.GOOS), "write auto"}
	}
	var errs []error
	for _, k := range backendKinds() {
		if want == k.name {
			return k.open(o)
		}
		if want != "auto" {
			continue
		}
		err := firewall.Probe(ctx, k.open, o)
		if err == nil {
			return k.open(o)
		}
		errs = append(errs, err)
		if errors.Is(err, firewall.ErrNotPermitted) || errors.Is(err, firewall.ErrUnsupported) {
			break // the next one would only say so in other words
		}
	}
	return nil, fmt.Errorf("no firewall works here: %w", errors.Join(errs...))
}

// kept are the variables that firewall programs may see. They have no use for
// NOTIFY_SOCKET, but the daemon tells systemd there that it is ready, long after
// the environment was cleaned.
var kept = []string{"PATH", "TZ", "TERM", "XTABLES_LOCKFILE", "NOTIFY_SOCKET"}

// cleanEnvironment takes everything out of the environment that no program we
// run needs to know.
func cleanEnvironment() {
	values := map[string]string{}
	for _, k := range kept {
		if v, ok := os.LookupEnv(k); ok {
			values[k] = v
		}
	}
	os.Clearenv()
	for k, v := range values {
		os.Setenv(k, v)
	}
}

// lock makes this process the owner of the state folder and, but for a dry run, of
// the firewall.
func (l *loaded) lock(command string, dry bool) (*firewall.Lock, error) {
	if err := os.MkdirAll(l.State, 0o750); err != nil {
		return nil, hinted{fmt.Errorf("state folder: %w", err), "run this as root, or name a folder of yours with state: in the configuration"}
	}
	owner := firewall.DefaultOwner
	if dry {
		owner = ""
	}
	return firewall.TakeLock(l.State, owner, command)
}

// checkFirewall says for each backend whether it works here, and returns
// whether the configured one does.
func (l *loaded) checkFirewall(ctx context.Context, print func(format string, args ...any)) error {
	cleanEnvironment()
	o, err := l.firewallOptions()
	if err != nil {
		return err
	}
	chosen := ""
	for _, k := range backendKinds() {
		wanted := l.Firewall.Backend == k.name || l.Firewall.Backend == "auto"
		if o.Action == firewall.Reject && k.name != "nftables" && !wanted {
			continue
		}
		err := firewall.Probe(ctx, k.open, o)
		if err != nil {
			print("%s: does not work: %v\n", k.name, err)
			if h := firewall.Hint(err); h != "" {
				print("    %s\n", h)
			}
			continue
		}
		print("%s: works\n", k.name)
		if k.name == "pf" {
			err := diagnosePF(ctx, o, print)
			if err != nil {
				return err
			}
		}
		if chosen == "" && wanted {
			chosen = k.name
		}
	}
	if chosen == "" {
		return fmt.Errorf("firewall backend %s: does not work here", l.Firewall.Backend)
	}
	print("firewall: %s (%s in the configuration), action %s\n", chosen, l.Firewall.Backend, o.Action)
	return nil
}

// diagnosePF says whether the main rules of pf call our anchor.
func diagnosePF(ctx context.Context, o firewall.Options, print func(format string, args ...any)) error {
	d, err := pf.Diagnose(ctx, pf.Options{Options: o})
	if err != nil {
		return err
	}
	for _, p := range append(d.Problems, d.Warnings...) {
		print("    %s\n", p)
	}
	if d.Advice != "" {
		print("    %s\n", strings.ReplaceAll(strings.TrimSpace(d.Advice), "\n", "\n    "))
	}
	if !d.OK() {
		return errors.New("pf: bans would have no effect")
	}
	return nil
}

// firewallTimeout bounds a one-shot command on the firewall.
const firewallTimeout = 2 * time.Minute
