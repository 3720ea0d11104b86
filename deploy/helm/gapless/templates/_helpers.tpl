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

{{- /* Addresses of the Service kube-dns: none where no pod is led here without its own doing. */ -}}
{{- define "gapless.kubeDNS" -}}
{{- if eq .Values.mode "link-local" }}{{ join "," .Values.clusterDNS.addresses | default "$(KUBE_DNS_SERVICE_HOST)" }}{{ end }}
{{- end -}}

{{- define "gapless.listen" -}}
{{- $all := .Values.linkLocal.addresses -}}
{{- with include "gapless.kubeDNS" . }}{{ $all = concat $all (splitList "," .) }}{{ end }}
{{- $listen := list -}}
{{- range $all }}{{ $listen = append $listen (printf (ternary "[%s]:53" "%s:53" (contains ":" .)) .) }}{{ end }}
{{- join "," $listen | quote }}
{{- end -}}

{{- define "gapless.netdev" -}}
- name: GAPLESS_NETDEV_ADDRESS
  value: {{ join "," .Values.linkLocal.addresses | quote }}
{{- with include "gapless.kubeDNS" . }}
- name: GAPLESS_NETDEV_KUBE_DNS
  value: {{ . | quote }}
{{- end }}
{{- if ne .Values.linkLocal.kind "dummy" }}
- name: GAPLESS_NETDEV_KIND
  value: {{ .Values.linkLocal.kind }}
{{- end }}
{{- end -}}

{{- define "gapless.admin" -}}
- name: HOST_IP
  valueFrom:
    fieldRef:
      fieldPath: status.hostIP
- name: GAPLESS_ADMIN
  value: $(HOST_IP):9533
{{- end -}}

{{- define "gapless.privileged" -}}
securityContext:
  runAsNonRoot: false
  runAsUser: 0
  runAsGroup: 0
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
    add: [NET_ADMIN, NET_BIND_SERVICE]
{{- end -}}

{{- define "gapless.isHostNetwork" -}}
{{- if has .Values.mode (list "link-local" "dns-config") }}true{{ end }}
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
{{- else }}
{{- $config = dict "freebind" true "handover" "@gapless" "tcp" (dict "max_connections" 1024) -}}
{{- end }}
{{- mustMergeOverwrite $config (deepCopy .Values.config) | toYaml -}}
{{- end -}}
