{{- /* The release's name, or both names. */ -}}
{{- define "gapless.name" -}}
{{- if contains "gapless" .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-gapless" .Release.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end -}}

{{- define "gapless.account" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "gapless.name" .) }}{{ else }}{{ required "serviceAccount.name is needed where none is made" .Values.serviceAccount.name }}{{ end }}
{{- end -}}

{{- define "gapless.component" -}}
{{- if eq .Values.mode "service" }}cluster-dns{{ else if eq .Values.mode "sidecar" }}sidecar{{ else }}node{{ end }}
{{- end -}}

{{- define "gapless.selector" -}}
app.kubernetes.io/name: gapless
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: {{ include "gapless.component" . }}
{{- end -}}

{{- define "gapless.labels" -}}
{{ include "gapless.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "gapless.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end -}}

{{- /* The mode's configuration with the user's over it. */ -}}
{{- define "gapless.config" -}}
{{- $config := dict -}}
{{- if eq .Values.mode "cilium-lrp" }}
{{- $config = dict "listen" (list "0.0.0.0:53") "admin" "0.0.0.0:9533" "tcp" (dict "max_connections" 1024) -}}
{{- else if eq .Values.mode "service" }}
{{- $config = dict "listen" (list "0.0.0.0:53") "admin" "0.0.0.0:9533" "tcp" (dict "max_connections" 4096 "max_connections_per_client" 64) "cluster" (dict "endpoint_slices" "all") -}}
{{- else if eq .Values.mode "sidecar" }}
{{- if not .Values.clusterDNS.addresses }}{{ fail "clusterDNS.addresses is needed by sidecars" }}{{ end }}
{{- $dns := .Values.clusterDNS.addresses -}}
{{- $config = dict "listen" (list "127.0.0.1:53") "admin" "0.0.0.0:9533" "cluster" (dict "scope" "headless" "dns" $dns) "forward" (dict "upstreams" $dns) "cache" (dict "size" "8MiB") -}}
{{- end }}
{{- mustMergeOverwrite $config (deepCopy .Values.config) | toYaml -}}
{{- end -}}
