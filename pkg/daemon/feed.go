package daemon

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/postmoat/postmoat/pkg/health"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/source"
)

// retrySource is how long a source rests that ended by itself.
const retrySource = 10 * time.Second

// A feed is a source at work.
type feed struct {
	Source
	number uint32 // by which the engine knows it
	src    atomic.Pointer[source.Source]
	cancel context.CancelFunc
	ended  chan struct{}

	begins source.Start    // where, as long as there is no place
	next   source.Position // behind the newest line in the inbox; its mutex guards it
	place  source.Position // behind the last line that the core took; the core's

	// The core's.
	since time.Time // it is followed
	seq   uint64    // of the last line that was fed
	lines uint64
	shift int64 // seconds that are added to the stamps
	quiet health.Quiet
	skew  health.Skew
	timed health.Understood // of all lines: those that begin with a time
	// Lines since timed was told, with a time and without.
	dated, undated uint64
	pace           pace
	// stubborn: the stamps name a wrong zone themselves.
	stubborn bool
	// gone: a reload has taken it out; what it still hands over is not fed, so
	// that its place stays that of the engine.
	gone bool
}

// newFeeds are feeds of sources, without number, place or work yet.
func newFeeds(sources []Source, now time.Time) []*feed {
	feeds := make([]*feed, len(sources))
	for i, s := range sources {
		feeds[i] = &feed{Source: s, since: now}
	}
	return feeds
}

// open makes the source, which then has a status.
func (f *feed) open() {
	src := f.New(f.begins)
	f.src.Store(&src)
}

func (f *feed) status() source.Status { return (*f.src.Load()).Status() }

// start lets a feed run in a goroutine of its own.
func (d *Daemon) start(ctx context.Context, f *feed) {
	ctx, f.cancel = context.WithCancel(ctx)
	f.ended = make(chan struct{})
	from := f.place
	d.running.Go(func() {
		defer close(f.ended)
		for ctx.Err() == nil {
			err := (*f.src.Load()).Run(ctx, from, func(l source.Line) error {
				if !d.in.put(f, l, d.o.Now()) {
					return ErrStopped
				}
				return nil
			})
			if ctx.Err() != nil || d.in.isClosed() {
				return
			}
			d.log.Error("source ended, will be started again", "source", f.Key, "err", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(retrySource):
			}
			if next := d.in.position(f); !next.IsZero() {
				from = next
			} else if at := f.status().Begin; !at.IsZero() {
				from = at
			}
			f.open()
		}
	})
}

// position is the place of a feed for which the state of the core is true: where
// it began, as long as no line has come.
func (f *feed) position() source.Position {
	if f.place.IsZero() && f.src.Load() != nil {
		return f.status().Begin
	}
	return f.place
}

// declare tells the engine of the zone of a feed's stamps, as it is corrected.
func (c *core) declare(f *feed, now time.Time) {
	c.engine.Source(f.number, stamps(f.Location, f.shift, now))
}

// stamps is how stamps are to be read that are shift seconds behind their zone;
// nil: that of the host.
func stamps(zone *time.Location, shift int64, now time.Time) maillog.SourceOptions {
	if zone == nil {
		zone = time.Local
	}
	if shift != 0 {
		_, east := now.In(zone).Zone()
		zone = time.FixedZone("corrected", east-int(shift))
	}
	return maillog.SourceOptions{Location: zone, Reference: now.Unix()}
}

// caughtUp says whether a source has nothing old to read any more, or can't
// read at all.
func (f *feed) caughtUp() bool {
	switch f.status().State {
	case source.Idle, source.CatchingUp:
		return false
	}
	return true
}
