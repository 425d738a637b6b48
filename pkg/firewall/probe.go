package firewall

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/maillog"
)

// probeOwner is the name under which Probe works, apart from any daemon's and
// from that of another process that probes at this moment.
func probeOwner() string { return fmt.Sprintf("probe_%d", os.Getpid()) }

// Probe says whether a backend works on this host, by doing it: under a name
// of its own it sets up, bans one address each of the documentation ranges
// (RFC 5737, RFC 3849) for a few seconds, reads that back and removes every
// trace. nil: it works. It takes no lock and disturbs no other owner.
func Probe(ctx context.Context, open func(Options) (Backend, error), o Options) (err error) {
	o.Owner = probeOwner()
	if o.Now == nil {
		o.Now = time.Now
	}
	b, err := open(o)
	if err != nil {
		return err
	}
	defer func() {
		down, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if e := b.Teardown(down); err == nil {
			err = e
		}
		err = errors.Join(err, b.Close())
	}()
	if err := b.Setup(ctx, nil); err != nil {
		return err
	}
	until := o.Now().Unix() + 30
	entries := []ban.Entry{
		{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Door: maillog.SMTP, Until: until, Deadline: until},
		{Prefix: netip.MustParsePrefix("2001:db8::/64"), Door: maillog.Login, Until: until, Deadline: until},
	}
	if err := b.Apply(ctx, ban.Change{Add: entries}); err != nil {
		return err
	}
	held, err := b.Counters(ctx, entries)
	if err != nil {
		return err
	}
	for _, c := range held {
		if !c.Present {
			return &Error{Backend: b.Name(), Op: "probe", Kind: ErrUncertain, Err: errors.New("an entry that was added is not there")}
		}
	}
	return nil
}
