//go:build linux

package iptables_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/firewalltest"
	"github.com/postmoat/postmoat/pkg/firewall/iptables"
	"github.com/postmoat/postmoat/pkg/maillog"
)

// fake makes programs that answer as a test needs: each is a script that is
// handed what it was asked in $*, and its standard input.
func fake(t *testing.T, scripts map[string]string) iptables.Programs {
	t.Helper()
	folder := t.TempDir()
	file := func(name string) string { return filepath.Join(folder, name) }
	for name, script := range scripts {
		text := "#!/bin/sh\ncase \"$*\" in --version) echo 'iptables v1.8.9 (nf_tables)'; exit 0;; esac\n" + script
		if err := os.WriteFile(file(name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return iptables.Programs{IPTables: file("iptables"), IP6Tables: file("ip6tables"), IPSet: file("ipset")}
}

const (
	emptyTable = "case \"$*\" in *'-S PREROUTING'*) echo '-P PREROUTING ACCEPT';; *-S*) echo '-P PREROUTING ACCEPT'; echo '-P OUTPUT ACCEPT';; esac\n"
	swallow    = "cat >/dev/null\n"
)

// says is a program that complains and fails.
func says(text string) string { return swallow + "echo \"" + text + "\" >&2; exit 1\n" }

// TestErrors: what the programs say, and what an operator is told. The texts
// are those of iptables 1.8.9 and ipset 7.17.
func TestErrors(t *testing.T) {
	for _, test := range []struct {
		name     string
		programs map[string]string
		want     error
		hint     string
	}{
		{"no iptables", map[string]string{"ipset": swallow}, firewall.ErrMissingProgram, "Install"},
		{"no ipset", map[string]string{"iptables": emptyTable, "ip6tables": emptyTable}, firewall.ErrMissingProgram, "Install"},
		{"no right", map[string]string{
			"iptables": says("iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)"),
			"ipset":    says("ipset v7.17: Kernel error received: Operation not permitted"),
		}, firewall.ErrNotPermitted, "CAP_NET_ADMIN"},
		{"no right to look at sets", map[string]string{
			"iptables": says("iptables v1.8.9 (nf_tables): Can't open socket to ipset."), "ipset": swallow,
		}, firewall.ErrNotPermitted, "need CAP_NET_RAW"},
		{"no right to lock", map[string]string{
			"iptables": says("Fatal: can't open lock file /run/xtables.lock: Permission denied"), "ipset": swallow,
		}, firewall.ErrNotPermitted, "XTABLES_LOCKFILE"},
		{"no table raw", map[string]string{
			"iptables": says("iptables v1.8.9 (legacy): can't initialize iptables table 'raw': Table does not exist (do you need to insmod?)"), "ipset": swallow,
		}, firewall.ErrMissingModule, "iptable_raw"},
		{"no ipset in the kernel", map[string]string{
			"iptables": emptyTable, "ip6tables": emptyTable, "ipset": says("ipset v7.17: Cannot open session to kernel."),
		}, firewall.ErrMissingModule, "ip_set"},
		{"no sets of networks in the kernel", map[string]string{
			"iptables": emptyTable, "ip6tables": emptyTable,
			"ipset": "case $1 in list) exit 0;; esac\n" + says("ipset v7.17: Error in line 1: Kernel error received: set type not supported"),
		}, firewall.ErrMissingModule, "ip_set_hash_net"},
		{"no match for sets in the kernel", map[string]string{
			"iptables":  "case \"$*\" in *-I*match-set*) echo 'iptables v1.8.9 (nf_tables):  RULE_INSERT failed (No such file or directory): rule in chain POSTMOAT' >&2; exit 4;; esac\n" + emptyTable,
			"ip6tables": emptyTable, "ipset": swallow,
		}, firewall.ErrMissingModule, "xt_set"},
		{"rules that iptables cannot show", map[string]string{
			"iptables": says("iptables v1.8.9 (nf_tables): table 'raw' is incompatible, use 'nft' tool."), "ipset": swallow,
		}, firewall.ErrUnsupported, "nftables"},
		{"no memory", map[string]string{
			"iptables": emptyTable, "ip6tables": emptyTable,
			"ipset": "case $1 in list) exit 0;; esac\n" + says("ipset v7.17: Error in line 9: Kernel error received: Cannot allocate memory"),
		}, firewall.ErrSetFull, "memory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, err := iptables.New(firewall.Options{Ports: firewalltest.Ports}, fake(t, test.programs))
			if err != nil {
				t.Fatal(err)
			}
			err = b.Setup(t.Context(), nil)
			if !errors.Is(err, test.want) || !strings.Contains(firewall.Hint(err), test.hint) {
				t.Errorf("err = %v, want %v; hint %q, want %q in it", err, test.want, firewall.Hint(err), test.hint)
			}
			if err := b.Apply(t.Context(), ban.Change{Add: []ban.Entry{entry("192.0.2.1/32", maillog.SMTP)}}); !errors.Is(err, firewall.ErrGone) {
				t.Errorf("apply after that: %v, want ErrGone", err)
			}
		})
	}
}

// TestFullForGood: when growing does not help either.
func TestFullForGood(t *testing.T) {
	b, err := iptables.New(firewall.Options{Ports: firewalltest.Ports}, fake(t, map[string]string{
		"iptables": emptyTable, "ip6tables": emptyTable,
		"ipset": "case $1 in list|save) exit 0;; esac\nif grep -q 192.0.2; then echo 'ipset v7.17: Error in line 1: Hash is full, cannot add more elements' >&2; exit 1; fi\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Setup(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	err = b.Apply(t.Context(), ban.Change{Add: []ban.Entry{entry("192.0.2.1/32", maillog.SMTP)}})
	if !errors.Is(err, firewall.ErrSetFull) || firewall.Hint(err) == "" {
		t.Errorf("err = %v, hint %q, want ErrSetFull", err, firewall.Hint(err))
	}
}

// TestWarnings: what a program says while it succeeds is no error.
func TestWarnings(t *testing.T) {
	loud := "echo '# Warning: iptables-legacy tables present, use iptables-legacy to see them' >&2\n"
	b, err := iptables.New(firewall.Options{Ports: firewalltest.Ports}, fake(t, map[string]string{
		"iptables": loud + emptyTable, "ip6tables": loud + emptyTable, "ipset": loud + swallow,
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Setup(t.Context(), nil), b.Apply(t.Context(), ban.Change{Add: []ban.Entry{entry("192.0.2.1/32", maillog.SMTP)}})); err != nil {
		t.Error(err)
	}
}

// TestEnvironment: ipset gets its words, a clean environment and nothing else.
func TestEnvironment(t *testing.T) {
	t.Setenv("LD_PRELOAD_OF_SOMEBODY", "x")
	seen := filepath.Join(t.TempDir(), "seen")
	p := fake(t, map[string]string{"iptables": emptyTable, "ip6tables": emptyTable, "ipset": "env >" + seen + "\npwd >>" + seen + "\n" + swallow})
	b, err := iptables.New(firewall.Options{Ports: firewalltest.Ports}, p)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Setup(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(seen)
	if err != nil || strings.Contains(string(text), "SOMEBODY") || !strings.Contains(string(text), "LC_ALL=C\n") || !strings.HasSuffix(string(text), "\n/\n") {
		t.Errorf("environment: %s, %v", text, err)
	}
}
