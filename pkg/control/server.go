package control

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
)

// Options are what a Server is made of.
type Options struct {
	Daemon Daemon
	Log    *slog.Logger // nil: nowhere
}

// A Server answers the requests of operators and their programs.
type Server struct {
	d         Daemon
	log       *slog.Logger
	wait      patience
	reads     chan struct{} // a place for each question to the daemon
	listeners chan struct{} // a place for each listener to events
}

// NewServer makes a Server.
func NewServer(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		d: o.Daemon, log: o.Log.With("component", "control"), wait: usualPatience(),
		reads: make(chan struct{}, maxReads), listeners: make(chan struct{}, maxListeners),
	}
}

// Serve answers at a listener of [Listen] until ctx ends, and closes it. It
// returns after all requests have ended.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, s.routes())
}

// ServeMetrics answers GET /metrics, and nothing else, as Serve does.
func (s *Server) ServeMetrics(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, routes{"/metrics": {http.MethodGet: s.metrics}})
}

func (s *Server) serve(ctx context.Context, l net.Listener, r routes) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	var running sync.RWMutex // held for reading by each request
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if !running.TryRLock() {
				return // the end has come
			}
			defer running.RUnlock()
			s.answer(r, w, q)
		}),
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            s.wait.header,
		ReadTimeout:                  s.wait.body,
		IdleTimeout:                  s.wait.idle,
		MaxHeaderBytes:               maxHeader,
		ErrorLog:                     slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		BaseContext:                  func(net.Listener) context.Context { return ctx },
		ConnContext:                  withPeer,
	}
	var ending sync.WaitGroup
	ending.Go(func() {
		<-ctx.Done()
		// The context of all requests is over; what is still being written
		// may come to its end.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.wait.stop)
		defer cancel()
		if srv.Shutdown(last) != nil {
			srv.Close()
		}
	})
	err := srv.Serve(newGate(l, maxConnections))
	end()
	ending.Wait()
	running.Lock()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
