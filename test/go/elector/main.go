// A candidate that elects a leader with the real k8s.io/client-go/tools/leaderelection.
//
// It prints one line of JSON an event (../events.ts), and campaigns again when a term has ended, until SIGTERM or SIGINT.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// The version of client-go. The linker sets it.
var clientGo = "unknown"

var (
	version       = flag.Bool("version", false, "print the version of client-go and exit")
	kubeconfig    = flag.String("kubeconfig", "", "the cluster")
	namespace     = flag.String("namespace", "default", "the namespace of the Lease")
	name          = flag.String("name", "", "the name of the Lease")
	identity      = flag.String("identity", "", "this candidate")
	leaseDuration = flag.Duration("lease-duration", 15*time.Second, "how long a Lease that does not change is respected")
	renewDeadline = flag.Duration("renew-deadline", 10*time.Second, "how long a leader tries to renew")
	retryPeriod   = flag.Duration("retry-period", 2*time.Second, "the pause between attempts")
	release       = flag.Bool("release-on-cancel", false, "empty the Lease at the end of a term")
	term          = flag.Duration("term", 0, "step down after leading for so long (0: never)")
	clockAhead    = flag.Duration("clock-ahead", 0, "by how much the wall clock is ahead")
)

// How often a leader says that it leads.
const heartbeat = 10 * time.Millisecond

func main() {
	flag.Parse()
	if *version {
		fmt.Println(clientGo)
		return
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	lock, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, *namespace, *name,
		resourcelock.ResourceLockConfig{Identity: *identity}, config, *renewDeadline)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	for ctx.Err() == nil {
		campaign(ctx, skewed{lock, *clockAhead})
		// It would take the Lease again before anybody else has looked.
		select {
		case <-ctx.Done():
		case <-time.After(*retryPeriod * 22 / 10):
		}
	}
}

// campaign waits for one term and leads until it ends.
func campaign(ctx context.Context, lock resourcelock.Interface) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	led := make(chan struct{})
	var began sync.Once
	leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
		Lock:            lock,
		LeaseDuration:   *leaseDuration,
		RenewDeadline:   *renewDeadline,
		RetryPeriod:     *retryPeriod,
		ReleaseOnCancel: *release,
		Name:            *name,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) {
				began.Do(func() { defer close(led); lead(leading, cancel) })
			},
			OnStoppedLeading: func() {},
			OnNewLeader:      func(leader string) { tell(event{Event: "leader", At: now(), Leader: &leader}) },
		},
	})
	cancel()
	// The callback runs beside the elector. If it has not begun yet, it never leads.
	began.Do(func() { close(led) })
	<-led
}

// lead says that it leads for as long as its leading context lives. The time is read before the context, so that a
// process that is suspended between the two claims nothing wrong.
func lead(leading context.Context, stepDown func()) {
	at := now()
	if leading.Err() != nil {
		return
	}
	tell(event{Event: "started", At: at})
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	var over <-chan time.Time
	if *term > 0 {
		over = time.After(*term)
	}
	for {
		select {
		case <-leading.Done():
			tell(event{Event: "stopped", At: now()})
			return
		case <-over:
			stepDown()
		case <-ticker.C:
			if at := now(); leading.Err() == nil {
				tell(event{Event: "leading", At: at})
			}
		}
	}
}

type event struct {
	Event  string  `json:"event"`
	At     float64 `json:"at"`
	Leader *string `json:"leader,omitempty"`
}

var out sync.Mutex

func tell(e event) {
	out.Lock()
	defer out.Unlock()
	if json.NewEncoder(os.Stdout).Encode(e) != nil {
		os.Exit(1)
	}
}

// now reads the machine's monotonic clock, in milliseconds.
func now() float64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err)
	}
	return float64(t.Nano()) / 1e6
}

// skewed shows the elector a Lease whose times are on a wall clock of its own. libfaketime cannot do that: Go reads the
// clock without libc. client-go decides by the monotonic clock, so what a wrong wall clock changes is what it writes.
type skewed struct {
	resourcelock.Interface
	ahead time.Duration
}

func (s skewed) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := s.Interface.Get(ctx)
	if err != nil {
		return nil, nil, err
	}
	shifted := shift(*record, -s.ahead)
	return &shifted, raw, nil
}

func (s skewed) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return s.Interface.Create(ctx, shift(record, s.ahead))
}

func (s skewed) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return s.Interface.Update(ctx, shift(record, s.ahead))
}

func shift(record resourcelock.LeaderElectionRecord, by time.Duration) resourcelock.LeaderElectionRecord {
	for _, at := range []*metav1.Time{&record.AcquireTime, &record.RenewTime} {
		if !at.IsZero() {
			at.Time = at.Add(by)
		}
	}
	return record
}
