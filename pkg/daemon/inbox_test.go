package daemon

import (
	"context"
	"errors"
	"testing"
)

// TestGivenUp holds that what the core is asked is not done behind the back of
// who has been told that it was not.
func TestGivenUp(t *testing.T) {
	in := newInbox()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	did := false
	if err := in.do(ctx, func() { did = true }); !errors.Is(err, context.Canceled) {
		t.Fatalf("do: %v", err)
	}
	for _, k := range in.take().calls {
		k.carryOut()
	}
	if did {
		t.Error("it was done all the same")
	}
}

// TestBegun holds that who asks for what has begun is told how it ends.
func TestBegun(t *testing.T) {
	in := newInbox()
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error)
	did := 0
	go func() {
		answer <- in.do(ctx, func() {
			cancel()
			did++
		})
	}()
	<-in.wake
	for _, k := range in.take().calls {
		k.carryOut()
	}
	if err := <-answer; err != nil || did != 1 {
		t.Errorf("do: %v, done %d times", err, did)
	}
}

// TestAbandoned holds that nobody waits for a core that has ended.
func TestAbandoned(t *testing.T) {
	in := newInbox()
	answer := make(chan error)
	go func() { answer <- in.do(context.Background(), func() { t.Error("done without a core") }) }()
	<-in.wake
	in.abandon()
	if err := <-answer; !errors.Is(err, ErrStopped) {
		t.Errorf("do: %v", err)
	}
	if err := in.do(t.Context(), func() {}); !errors.Is(err, ErrStopped) {
		t.Errorf("do after the end: %v", err)
	}
}
