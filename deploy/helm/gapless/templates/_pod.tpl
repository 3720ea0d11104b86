{{- /* The pod of every mode that has one: what differs by mode stands here, and nowhere else. */ -}}
{{- define "gapless.pod" -}}
{{- $clusterDNS := eq .Values.mode "service" -}}
{{- $host := include "gapless.isHostNetwork" . -}}
metadata:
  labels:
    {{- include "gapless.selector" . | nindent 4 }}
    {{- if $clusterDNS }}
    k8s-app: kube-dns
    {{- end }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ include "gapless.config" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "gapless.account" . }}
  priorityClassName: {{ .Values.priorityClassName | default (ternary "system-cluster-critical" "system-node-critical" $clusterDNS) }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  nodeSelector:
    {{- toYaml .Values.nodeSelector | nindent 4 }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  tolerations:
    {{- if .Values.tolerations }}
    {{- toYaml .Values.tolerations | nindent 4 }}
    {{- else if $clusterDNS }}
    - key: CriticalAddonsOnly
      operator: Exists
    - key: node-role.kubernetes.io/control-plane
      effect: NoSchedule
    {{- else }}
    - operator: Exists
    {{- end }}
  {{- if $clusterDNS }}
  topologySpreadConstraints:
    {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "gapless.selector" $ | nindent 10 }}
    {{- end }}
  {{- end }}
  {{- if $host }}
  hostNetwork: true
  {{- end }}
  dnsPolicy: Default
  terminationGracePeriodSeconds: {{ ternary 45 30 (eq $host "true") }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    seccompProfile:
      type: RuntimeDefault
  {{- if $host }}
  initContainers:
    - name: netdev-up
      image: {{ include "gapless.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [netdev, up]
      env:
        {{- include "gapless.netdev" . | nindent 8 }}
      {{- include "gapless.privileged" . | nindent 6 }}
  {{- end }}
  containers:
    - name: gapless
      image: {{ include "gapless.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve, --config, /etc/gapless/config.yaml]
      {{- if or (not $clusterDNS) .Values.extraEnv }}
      env:
        {{- if $host }}
        {{- include "gapless.admin" . | nindent 8 }}
        - name: GAPLESS_LISTEN
          value: {{ include "gapless.listen" . }}
        {{- end }}
        {{- if not $clusterDNS }}
        - name: GAPLESS_CLUSTER_DNS
          value: $(KUBE_DNS_UPSTREAM_SERVICE_HOST)
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      {{- if not $host }}
      ports:
        - name: dns
          containerPort: 53
          protocol: UDP
        - name: dns-tcp
          containerPort: 53
          protocol: TCP
        - name: admin
          containerPort: 9533
          protocol: TCP
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
          add: [NET_BIND_SERVICE]
      startupProbe:
        httpGet:
          path: /livez
          port: 9533
        periodSeconds: 1
        failureThreshold: 60
      readinessProbe:
        httpGet:
          path: /readyz
          port: 9533
        periodSeconds: 2
        timeoutSeconds: 2
      livenessProbe:
        httpGet:
          path: /livez
          port: 9533
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      lifecycle:
        preStop:
          sleep:
            seconds: 5
      resources:
        {{- if .Values.resources }}
        {{- toYaml .Values.resources | nindent 8 }}
        {{- else }}
        requests:
          cpu: {{ ternary "100m" "50m" $clusterDNS }}
          memory: 128Mi
        limits:
          memory: {{ ternary "512Mi" "256Mi" $clusterDNS }}
        {{- end }}
      volumeMounts:
        - name: config
          mountPath: /etc/gapless
          readOnly: true
    {{- if $host }}
    - name: netdev-watch
      image: {{ include "gapless.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [netdev, watch]
      env:
        {{- include "gapless.admin" . | nindent 8 }}
        {{- include "gapless.netdev" . | nindent 8 }}
      {{- include "gapless.privileged" . | nindent 6 }}
      resources:
        requests:
          cpu: 5m
          memory: 16Mi
        limits:
          memory: 32Mi
    {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "gapless.name" . }}
{{- end -}}
