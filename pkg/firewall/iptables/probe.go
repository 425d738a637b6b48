//go:build linux

package iptables

import (
	"context"
	"errors"
	"strconv"

	"github.com/postmoat/postmoat/pkg/firewall"
)

// Probe says why the backend cannot work on this host for this user, as far as
// that can be known without changing anything (a legacy iptables loads its table
// when it is asked); nil: nothing speaks against it.
func (b *Backend) Probe(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return errors.Join(
		explain("ask ipset", run(b.programs.IPSet, nil, nil, "list", "-name")),
		explain("ask iptables", b.probeRules()))
}

func (b *Backend) probeRules() error {
	r, err := b.openRules(ipv4)
	if err != nil {
		return err
	}
	if _, err := r.listHooks(); err != nil {
		return err
	}
	// Whether a rule may look up a set: the answer to this is that there is
	// no such set, if there may be one at all.
	err = run(b.programs.IPTables, nil, nil, "-t", rawTable, "-C", prerouting,
		"-m", "set", "--match-set", b.o.Owner+"-probe", "src", "-j", "DROP", "--wait", strconv.Itoa(lockWait))
	if errors.Is(explain("", err), firewall.ErrGone) {
		return nil
	}
	return err
}
