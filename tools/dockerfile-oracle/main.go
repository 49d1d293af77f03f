// dockerfile-oracle says what BuildKit's own Dockerfile frontend makes of a Dockerfile.
//
// It reads one JSON case a line from standard input and writes one JSON answer a line to standard
// output. Each case runs the frontend whole, in this process, over a gateway client that has no
// daemon behind it: it hands out the Dockerfile, answers each image with a made-up configuration,
// and notes what it was asked for. crates/dockerfile's tests compare their crate with it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/gateway/client"
	gwpb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/pb"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/pkg/errors"
	fstypes "github.com/tonistiigi/fsutil/types"
)

// query is one case: a Dockerfile and what is asked of the frontend.
type query struct {
	Dockerfile    string              `json:"dockerfile"`
	Targets       bool                `json:"targets"`   // list the stages instead of building one
	NoSyntax      bool                `json:"no_syntax"` // do not hand the build to another frontend
	Target        string              `json:"target"`
	Platform      string              `json:"platform"`
	BuildPlatform string              `json:"build_platform"`
	BuildArgs     map[string]string   `json:"build_args"`
	Contexts      map[string]string   `json:"contexts"`
	Triggers      map[string][]string `json:"triggers"` // ONBUILD by "reference platform"
}

// answer is what the frontend did.
type answer struct {
	Error    string   `json:"error"`
	Lines    [][2]int `json:"lines"`    // places of the error, innermost first
	Dispatch bool     `json:"dispatch"` // the error came up when all images were resolved
	Resolved []image  `json:"resolved"` // configurations asked for
	Sources  []image  `json:"sources"`  // image sources of the build graph
	Syntax   string   `json:"syntax"`   // frontend image that the build was handed to
}

type image struct {
	Reference string `json:"reference"`
	Platform  string `json:"platform"`
}

var errForwarded = errors.New("handed to another frontend")

// recorder is the gateway client without a daemon.
type recorder struct {
	query  query
	host   ocispecs.Platform
	opts   client.BuildOpts
	mu     sync.Mutex
	answer answer
}

func main() {
	in := bufio.NewReader(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for {
		line, err := in.ReadBytes('\n')
		if len(strings.TrimSpace(string(line))) > 0 {
			var q query
			if err := json.Unmarshal(line, &q); err != nil {
				fmt.Fprintln(os.Stderr, "dockerfile-oracle:", err)
				os.Exit(2)
			}
			if err := out.Encode(run(q)); err != nil {
				fmt.Fprintln(os.Stderr, "dockerfile-oracle:", err)
				os.Exit(1)
			}
		}
		if err != nil {
			return
		}
	}
}

func run(q query) (a answer) {
	// BuildKit v0.34.2 panics where the stages are asked for and a check comment stands above an
	// instruction: its list of stages has no linter.
	defer func() {
		if p := recover(); p != nil {
			a = answer{Error: fmt.Sprint("panic: ", p)}
		}
	}()
	r := &recorder{query: q, host: platforms.DefaultSpec()}
	if q.BuildPlatform != "" {
		p, err := platforms.Parse(q.BuildPlatform)
		if err != nil {
			return answer{Error: err.Error()}
		}
		r.host = platforms.Normalize(p)
	}
	opts := map[string]string{"platform": q.Platform, "target": q.Target}
	if q.Targets {
		opts = map[string]string{"requestid": "frontend.targets"}
	}
	if q.NoSyntax {
		opts["cmdline"] = ""
	}
	for k, v := range q.BuildArgs {
		opts["build-arg:"+k] = v
	}
	for k, v := range q.Contexts {
		opts["context:"+k] = v
	}
	r.opts = client.BuildOpts{
		Opts:      opts,
		SessionID: "session",
		Workers:   []client.WorkerInfo{{ID: "worker", Platforms: []ocispecs.Platform{r.host}}},
		Product:   "buildkit",
		LLBCaps:   pb.Caps.CapSet(pb.Caps.All()),
		Caps:      gwpb.Caps.CapSet(gwpb.Caps.All()),
	}
	_, err := builder.Build(context.Background(), r)
	if err != nil && !errors.Is(err, errForwarded) {
		r.answer.Error = err.Error()
		r.answer.Dispatch = fromDispatch(err)
		r.answer.Lines = places(err)
	}
	r.answer.Resolved = sorted(r.answer.Resolved)
	r.answer.Sources = sorted(r.answer.Sources)
	return r.answer
}

// places returns the first and last lines of the places that an error names.
func places(err error) (lines [][2]int) {
	var located *parser.LocationError
	if errors.As(err, &located) {
		for _, ranges := range located.Locations {
			if len(ranges) > 0 {
				lines = append(lines, [2]int{ranges[0].Start.Line, ranges[len(ranges)-1].End.Line})
			}
		}
		return lines
	}
	for _, source := range errdefs.Sources(err) {
		if n := len(source.Ranges); n > 0 {
			first, last := source.Ranges[0].Start.Line, source.Ranges[n-1].End.Line
			lines = append(lines, [2]int{int(first), int(last)})
		}
	}
	return lines
}

// fromDispatch tells whether an error came up behind the resolution of images: its stack says so,
// or that the build graph could not be written out.
func fromDispatch(err error) bool {
	if strings.Contains(err.Error(), "failed to marshal LLB definition") {
		return true
	}
	for ; err != nil; err = errors.Unwrap(err) {
		if strings.Contains(fmt.Sprintf("%+v", err), ".dispatchStages") {
			return true
		}
	}
	return false
}

func sorted(images []image) []image {
	slices.SortFunc(images, func(a, b image) int {
		return strings.Compare(a.Reference+" "+a.Platform, b.Reference+" "+b.Platform)
	})
	return slices.Compact(images)
}

func (r *recorder) format(p *ocispecs.Platform) string {
	if p == nil {
		p = &r.host
	}
	return platforms.FormatAll(platforms.Normalize(*p))
}

func (r *recorder) BuildOpts() client.BuildOpts { return r.opts }

func (r *recorder) ResolveImageConfig(_ context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	platform := r.host
	asked := image{Reference: ref, Platform: r.format(nil)}
	if opt.OCILayoutOpt != nil {
		if opt.OCILayoutOpt.Platform != nil {
			platform = *opt.OCILayoutOpt.Platform
		}
		asked.Platform = r.format(opt.OCILayoutOpt.Platform)
	} else {
		if opt.ImageOpt != nil && opt.ImageOpt.Platform != nil {
			platform = *opt.ImageOpt.Platform
			asked.Platform = r.format(opt.ImageOpt.Platform)
		}
		r.mu.Lock()
		r.answer.Resolved = append(r.answer.Resolved, asked)
		r.mu.Unlock()
	}
	config := map[string]any{
		"os":           platform.OS,
		"architecture": platform.Architecture,
		"variant":      platform.Variant,
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{digest.FromString(ref).String()}},
		"config":       map[string]any{"OnBuild": r.query.Triggers[asked.Reference+" "+asked.Platform]},
	}
	data, err := json.Marshal(config)
	if err != nil {
		return "", "", nil, err
	}
	return ref, "", data, nil
}

func (r *recorder) ResolveSourceMetadata(context.Context, *pb.SourceOp, sourceresolver.Opt) (*sourceresolver.MetaResponse, error) {
	// Only SOURCE_DATE_EPOCH asks for it.
	modified := time.Unix(0, 0)
	http := &sourceresolver.ResolveHTTPResponse{LastModified: &modified}
	return &sourceresolver.MetaResponse{HTTP: http}, nil
}

func (r *recorder) Solve(_ context.Context, req client.SolveRequest) (*client.Result, error) {
	if req.Frontend != "" {
		// The gateway frontend would take it from here: its first step is to read the name.
		r.answer.Syntax = req.FrontendOpt["source"]
		if _, err := reference.ParseNormalizedNamed(r.answer.Syntax); err != nil {
			return nil, err
		}
		return nil, errForwarded
	}
	if err := r.note(req.Definition); err != nil {
		return nil, err
	}
	res := client.NewResult()
	res.SetRef(&files{dockerfile: []byte(r.query.Dockerfile)})
	return res, nil
}

// note records the image sources of a build graph.
func (r *recorder) note(def *pb.Definition) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, data := range def.GetDef() {
		var op pb.Op
		if err := op.Unmarshal(data); err != nil {
			return err
		}
		ref, ok := strings.CutPrefix(op.GetSource().GetIdentifier(), "docker-image://")
		if !ok {
			continue
		}
		platform := r.format(nil)
		if p := op.GetPlatform(); p != nil {
			spec := p.Spec()
			platform = r.format(&spec)
		}
		r.answer.Sources = append(r.answer.Sources, image{Reference: ref, Platform: platform})
	}
	return nil
}

func (r *recorder) Inputs(context.Context) (map[string]llb.State, error) { return nil, nil }

func (r *recorder) NewContainer(context.Context, client.NewContainerRequest) (client.Container, error) {
	return nil, errors.New("no containers here")
}

func (r *recorder) Warn(context.Context, digest.Digest, string, client.WarnOpts) error { return nil }

// files is a result that has a Dockerfile in it and nothing else.
type files struct {
	dockerfile []byte
}

func (f *files) ToState() (llb.State, error) { return llb.Scratch(), nil }

func (f *files) Evaluate(context.Context) error { return nil }

func (f *files) ReadFile(_ context.Context, req client.ReadRequest) ([]byte, error) {
	if req.Filename == "Dockerfile" {
		return f.dockerfile, nil
	}
	return nil, os.ErrNotExist
}

func (f *files) StatFile(_ context.Context, req client.StatRequest) (*fstypes.Stat, error) {
	if req.Path == "Dockerfile" {
		return &fstypes.Stat{Path: "Dockerfile", Size: int64(len(f.dockerfile))}, nil
	}
	return nil, os.ErrNotExist
}

func (f *files) ReadDir(context.Context, client.ReadDirRequest) ([]*fstypes.Stat, error) {
	return nil, nil
}
